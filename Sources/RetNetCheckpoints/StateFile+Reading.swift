import Foundation
import RetNetMixers
import RetNetModels
import RetNetStorage
import RetNetTorch

extension StateFile {
    /// Reads a state for a model, onto the model's device.
    ///
    /// `tokenizerIdentity` is that of the tokenizer in use; nil accepts any. Throws `StorageError` for files
    /// that are not complete, and ``StateFileError`` for states of another model or tokenizer and for parts that
    /// are missing, unexpected, of the wrong shape, out of range or not finite.
    public static func read(_ path: String, for model: LanguageModel, tokenizerIdentity: String? = nil) throws
        -> SavedState
    {
        let tensors = try SafetensorsTensors(file: path)
        let metadata = tensors.metadata
        guard metadata["format"] == format else { throw StateFileError.notStateFile(path: path) }
        guard metadata["version"] == version else {
            throw StateFileError.unknownVersion(path: path, version: metadata["version"] ?? "(none)")
        }
        let fingerprint = try ModelFingerprint.make(model)
        let found = metadata["fingerprint"] ?? "(none)"
        guard found == fingerprint else {
            throw StateFileError.wrongModel(path: path, expected: fingerprint, found: found)
        }
        if let expected = tokenizerIdentity, let found = metadata["tokenizer"], found != expected {
            throw StateFileError.wrongTokenizer(path: path, expected: expected, found: found)
        }
        return try withoutGradients {
            let reader = StateReader(tensors: tensors, model: model)
            let positions = try reader.positions()
            let state = try reader.state(positions)
            var saved = SavedState(state: state, tokenizerIdentity: metadata["tokenizer"])
            saved.logits = try reader.logits(rowCount: positions.count)
            saved.pendingTokens = try reader.pendingTokens(rowCount: positions.count)
            try reader.checkLeftOver()
            for (key, value) in metadata {
                guard let name = key.text.dropping(exactPrefix: userPrefix) else { continue }
                saved.metadata[name] = value
            }
            return saved
        }
    }
}

/// A reader of the parts of one state file.
private final class StateReader {
    private let tensors: SafetensorsTensors
    private let model: LanguageModel
    private var used: Set<ExactString> = []

    init(tensors: SafetensorsTensors, model: LanguageModel) {
        self.tensors = tensors
        self.model = model
    }

    func positions() throws -> [SequencePosition] {
        let pairs = try decoded([[Int]].self, "positions")
        guard !pairs.isEmpty else { throw malformed("it has no rows") }
        let limit = StateFile.maximumPosition
        return try pairs.map { pair in
            guard pair.count == 2, (-limit...limit).contains(pair[0]), (0...limit).contains(pair[1]) else {
                throw malformed("'positions' holds \(pair), which is not a position and a token count")
            }
            return SequencePosition(position: pair[0], count: pair[1])
        }
    }

    func state(_ positions: [SequencePosition]) throws -> LanguageModelState {
        let template = try model.initialState(batch: 1)
        let layers = try template.layers.enumerated().map { index, layer in
            var named: [String: Tensor] = [:]
            for (name, tensor) in layer.tensors {
                var shape = [positions.count] + tensor.shape.dropFirst()
                if let axis = layer.growingAxes[name] {
                    shape[axis] = try grownLength("layers.\(index).\(name)", axis: axis, positions)
                }
                named[name] = try read("layers.\(index).\(name)", shape, tensor.elementType)
            }
            return named
        }
        return try model.state(from: layers, positions: positions)
    }

    /// Returns the length of a tensor that grows with the tokens read, at least the number that the rows have read.
    private func grownLength(_ name: String, axis: Int, _ positions: [SequencePosition]) throws -> Int {
        guard let entry = tensors.entry(named: name), axis < entry.shape.count else { return 0 }
        let needed = positions.map(\.count).max() ?? 0
        guard entry.shape[axis] >= needed else {
            throw malformed("'\(name)' holds \(entry.shape[axis]) tokens, but \(needed) were read")
        }
        return entry.shape[axis]
    }

    func logits(rowCount: Int) throws -> Tensor? {
        guard tensors.entry(named: StateFile.logitsName) != nil else { return nil }
        return try read(
            StateFile.logitsName, [rowCount, model.configuration.vocabularySize],
            model.computeType.accumulator)
    }

    func pendingTokens(rowCount: Int) throws -> [[Int32]] {
        let rows = try decoded([[Int32]].self, "pending_tokens")
        guard rows.count == rowCount else {
            throw malformed("'pending_tokens' has \(rows.count) rows, but the state has \(rowCount)")
        }
        let size = model.configuration.vocabularySize
        for token in rows.joined() where token < 0 || Int(token) >= size {
            throw malformed("the pending token \(token) is not in the vocabulary of \(size)")
        }
        return rows
    }

    func checkLeftOver() throws {
        guard let entry = tensors.entries.first(where: { !used.contains(ExactString($0.name)) }) else {
            return
        }
        throw malformed("the tensor '\(entry.name)' belongs to no layer of this model")
    }

    private func read(_ name: String, _ shape: [Int], _ type: ElementType) throws -> Tensor {
        guard let entry = tensors.entry(named: name) else {
            throw malformed("the tensor '\(name)' is missing")
        }
        guard entry.shape == shape else {
            throw malformed("'\(name)' has the shape \(entry.shape) instead of \(shape)")
        }
        guard let stored = ElementType(entry.elementType), stored.isFloatingPoint else {
            throw malformed(
                "'\(name)' has elements of type \(entry.elementType.rawValue) (\(entry.elementType.summary)) instead of"
                    + " \(type.stored.rawValue)")
        }
        used.insert(ExactString(name))
        let tensor = try tensors.tensor(named: name).to(type, on: model.device)
        guard try tensor.allFinite() else { throw StateFileError.notFinite(path: tensors.path, name: name) }
        return tensor
    }

    private func decoded<T: Decodable>(_ type: T.Type, _ key: String) throws -> T {
        guard let text = tensors.metadata[ExactString(key)] else {
            throw malformed("its metadata has no '\(key)'")
        }
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch {
            throw malformed("'\(key)' is not a JSON array of the right form")
        }
    }

    private func malformed(_ reason: String) -> StateFileError {
        .malformed(path: tensors.path, reason: reason)
    }
}
