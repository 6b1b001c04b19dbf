import Foundation
import RetNetArchitecture
import RetNetKernels
import RetNetStorage

/// The number of bits to which a model's matrices are rounded.
public enum QuantizationScheme: String, Sendable, CaseIterable {
    /// 8 bits: weight = scale · q, one float16 scale for every 32 columns.
    case int8
    /// 4 bits: weight = scale · q + minimum, with float16 scales and minima for every 32 columns.
    case int4

    /// The key of the scheme in the metadata of the files.
    static let metadataKey = SafetensorsFolder.roundingKey.text
    /// The keys of the number of columns of a group and of what becomes of which tensors.
    static let groupKey = "quantization_group"
    static let policyKey = "quantization_policy"
    /// The key of the fingerprint of the model from which the files were made.
    static let fingerprintKey = "source_fingerprint"

    /// What becomes of which tensors, in one sentence.
    public var policy: String {
        switch self {
        case .int8:
            "matrices int8; embedding and output float16; gates of few channels and vectors as they were"
        case .int4: "matrices int4; embedding and output int8; gates of few channels and vectors as they were"
        }
    }
}

/// Rounds the matrices of a model folder to 8 or 4 bits and writes them as a folder for this engine.
///
/// int8 `NAME` is I8 [out, in] with `NAME.scales` F16 [out, in / 32]. int4 `NAME` is U8 [out, in / 2]: of every group of
/// 32 columns, byte i holds column i in its low and column i + 16 in its high half, with `NAME.scales` and `NAME.minima`
/// F16 [out, in / 32]. Errors in the embedding and the output matrix reach every token, so these get more bits. Matrices
/// whose rows are no multiple of 32 are written as float16, as float32 does not pay; vectors, routers, gates of a few
/// channels and convolutions keep their element type.
public struct Quantization {
    /// What became of a folder.
    public struct Report: Sendable {
        /// Bytes of all tensors before.
        public let sourceByteCount: Int
        /// Bytes of all tensors after.
        public let byteCount: Int
        /// Numbers of values by the element type in which they were written, largest first.
        public let valueCounts: [(elementType: String, count: Int)]
    }

    private let path: String
    private let folder: SafetensorsFolder
    private let scheme: QuantizationScheme
    /// Copies of other tensors, which nothing reads.
    private let unusedNames: Set<String>
    /// Of models with states, by which these are told apart.
    private let fingerprint: String?
    private let threads: Int

    /// Fewer values are not worth rounding.
    private static let leastValueCount = 1 << 12
    /// Bytes of one file at most, and of the tensors that are in memory at once.
    private static let shardByteCount = 1 << 30
    /// Matrices whose few outputs steer whole layers.
    private static let steering: Set<String> = [
        "router", "prediction_coefficients", "correction_coefficients", "decay", "decay_down", "decay_up",
        "strength", "convolution", "query_convolution", "key_convolution", "value_convolution",
        "relative_attention_bias",
    ]
    private static let vocabulary = Set(
        [
            "embedding.weight", "position_embedding.weight", "output.weight", T5Configuration.embeddingName,
            T5Configuration.outputName,
        ] + T5Configuration.toleratedNames.embeddingAliases)

    /// Opens a model folder; checks that it has all tensors of a model that this engine runs, not rounded yet.
    ///
    /// Throws ``RuntimeError``, `SettingsError` and `StorageError`.
    public init(path: String, scheme: QuantizationScheme, threads: Int = ModelRunner.defaultThreadCount)
        throws
    {
        let folder = try SafetensorsFolder(path: path)
        let rounded = folder.metadata[ExactString(QuantizationScheme.metadataKey)]
        if let entry = folder.entries.first(where: { $0.elementType == .int8 || $0.elementType == .uint8 }) {
            throw RuntimeError.weights(
                path: path,
                problem: "'\(entry.name)' is rounded already"
                    + (rounded.map { ", to \($0)" } ?? "") + ": give the model from which it was made")
        }
        if EncoderDecoderFolder.recognizes(path) {
            unusedNames = Set(try EncoderDecoderModel(path: path).weights.unusedNames)
            fingerprint = nil
        } else {
            let model = try RuntimeModel(path: path)
            unusedNames = Set(model.weights.unusedNames)
            fingerprint = try model.fingerprint()
        }
        self.path = path
        self.folder = folder
        self.scheme = scheme
        self.threads = threads
    }

    /// Writes the folder `out`, which must not exist: the rounded tensors and copies of the other files of the model.
    ///
    /// Throws ``RuntimeError`` with the name of a tensor that is not finite or too large, and `StorageError`; then nothing
    /// is left behind. `progress` is called with the number of values written and of all.
    @discardableResult
    public func write(to out: String, progress: (_ done: Int, _ all: Int) throws -> Void = { _, _ in })
        throws -> Report
    {
        guard let pool = rn_pool_create(Int32(clamping: max(1, threads)), nil) else {
            throw RuntimeError.noThreads(reason: "the system gives none")
        }
        defer { rn_pool_destroy(pool) }
        let entries = folder.entries.filter { !unusedNames.contains($0.name) }
        let all = entries.reduce(0) { $0 + Self.valueCount($1) }
        var (done, counts, bytes) = (0, [String: Int](), 0)
        try withoutActuallyEscaping(progress) { progress in
            try AtomicFolder.create(at: out) { temporary in
                var tensors: [SafetensorsWriter.Tensor] = []
                for entry in entries {
                    let tensor = RoundedTensor(
                        entry, form: form(of: entry), folder: folder, path: path, pool: pool
                    ) {
                        done += Self.valueCount(entry)
                        try progress(done, all)
                    }
                    tensors += tensor.parts()
                    counts[tensor.elementTypeName, default: 0] += Self.valueCount(entry)
                    bytes += tensor.byteCount
                }
                try Self.write(tensors, byteCount: bytes, metadata: metadata, in: temporary)
                try copyOtherFiles(to: temporary)
            }
        }
        return Report(
            sourceByteCount: entries.reduce(0) { $0 + $1.byteRange.count }, byteCount: bytes,
            valueCounts: counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map { ($0.key, $0.value) })
    }

    private var metadata: [ExactString: String] {
        var own: [ExactString: String] = [
            ExactString(QuantizationScheme.metadataKey): scheme.rawValue,
            ExactString(QuantizationScheme.groupKey): String(RN_GROUP),
            ExactString(QuantizationScheme.policyKey): scheme.policy,
        ]
        if let fingerprint { own[ExactString(QuantizationScheme.fingerprintKey)] = fingerprint }
        return folder.metadata.merging(own) { $1 }
    }

    private static func valueCount(_ entry: SafetensorsEntry) -> Int { entry.shape.reduce(1, *) }

    private func form(of entry: SafetensorsEntry) -> RoundedTensor.Form {
        let names = entry.name.split(separator: ".")
        guard entry.name.hasSuffix(".weight"), entry.shape.count >= 2, names.count >= 2,
            let columns = entry.shape.last, Self.valueCount(entry) >= Self.leastValueCount,
            !Self.steering.contains(String(names[names.count - 2]))
        else { return .asStored }
        let isWide = entry.elementType == .float32 || entry.elementType == .float64
        guard columns % Int(RN_GROUP) == 0 else { return isWide ? .float16 : .asStored }
        switch (scheme, Self.vocabulary.contains(entry.name)) {
        case (.int8, false), (.int4, true): return .int8
        case (.int4, false): return .int4
        case (.int8, true): return isWide ? .float16 : .asStored
        }
    }

    private static func write(
        _ tensors: [SafetensorsWriter.Tensor], byteCount: Int, metadata: [ExactString: String],
        in folder: String
    ) throws {
        let writer = SafetensorsWriter(tensors, metadata: metadata)
        if byteCount <= shardByteCount {
            try writer.write(to: folder + "/" + SafetensorsFolder.singleFileName)
        } else {
            try writer.writeShards(in: folder, maximumShardByteCount: shardByteCount)
        }
    }

    /// Copies configuration and tokenizer; weights in other forms and the state of a training run stay behind.
    private func copyOtherFiles(to out: String) throws {
        let left: Set<String> = [
            AtomicFolder.checksumsFileName, SafetensorsFolder.indexFileName, "trainer.json",
        ]
        let tensors = ["safetensors", "bin", "pt", "pth", "gguf"]
        let files = FileManager.default
        for name in try files.contentsOfDirectory(atPath: path).sorted() where !name.hasPrefix(".") {
            var isFolder: ObjCBool = false
            let source = path + "/" + name
            guard files.fileExists(atPath: source, isDirectory: &isFolder), !isFolder.boolValue,
                !left.contains(name),
                !tensors.contains(String(name.split(separator: ".").last ?? ""))
            else { continue }
            try MappedFile(path: source).withUnsafeBytes { bytes in
                try AtomicFile.write(to: out + "/" + name) { try $0.write(bytes) }
            }
        }
    }
}

/// One tensor on its way from one folder to another; what is computed is in memory until it has been written.
private final class RoundedTensor {
    /// The form in which a tensor is written.
    enum Form {
        case asStored
        case float16
        case int8
        case int4
    }

    private typealias Parts = (data: [UInt8], scales: [UInt16], minima: [UInt16])

    private let entry: SafetensorsEntry
    private let form: Form
    private let folder: SafetensorsFolder
    private let path: String
    private let pool: OpaquePointer
    private let finished: () throws -> Void
    private var rounded: Parts?

    /// Values that are widened at once.
    private static let blockSize = 1 << 20

    init(
        _ entry: SafetensorsEntry, form: Form, folder: SafetensorsFolder, path: String, pool: OpaquePointer,
        finished: @escaping () throws -> Void
    ) {
        self.entry = entry
        self.form = form
        self.folder = folder
        self.path = path
        self.pool = pool
        self.finished = finished
    }

    private var count: Int { entry.shape.reduce(1, *) }
    private var columns: Int { entry.shape.last ?? 1 }
    private var type: rn_weight_type { form == .int8 ? RN_I8 : form == .int4 ? RN_I4 : RN_F16 }

    var elementTypeName: String {
        switch form {
        case .asStored: entry.elementType.rawValue
        case .float16: "F16"
        case .int8: "I8"
        case .int4: "I4"
        }
    }

    var byteCount: Int {
        form == .asStored
            ? entry.byteCount : Int(rn_weight_bytes(type, Int64(count / max(columns, 1)), Int64(columns)))
    }

    /// Returns what the file holds: the scales come first in it, so they are computed with the data and wait for it.
    func parts() -> [SafetensorsWriter.Tensor] {
        let (name, shape) = (entry.name, entry.shape)
        let groups = shape.dropLast() + [columns / Int(RN_GROUP)]
        switch form {
        case .asStored:
            return [
                .init(name: name, elementType: entry.elementType, shape: shape) { sink in
                    try self.checkFinite()
                    try self.folder.withUnsafeBytes(of: name) { try sink.write($0) }
                    try self.finished()
                }
            ]
        case .float16:
            return [.init(name: name, elementType: .float16, shape: shape) { try self.writeHalves(to: $0) }]
        case .int8, .int4:
            let data = form == .int8 ? shape : shape.dropLast() + [columns / 2]
            var parts: [SafetensorsWriter.Tensor] = [
                .init(name: name + ".scales", elementType: .float16, shape: Array(groups)) { sink in
                    try self.round().scales.withUnsafeBytes { try sink.write($0) }
                }
            ]
            if form == .int4 {
                parts.append(
                    .init(name: name + ".minima", elementType: .float16, shape: Array(groups)) { sink in
                        try self.round().minima.withUnsafeBytes { try sink.write($0) }
                    })
            }
            parts.append(
                .init(name: name, elementType: form == .int8 ? .int8 : .uint8, shape: Array(data)) { sink in
                    try self.round().data.withUnsafeBytes { try sink.write($0) }
                    self.rounded = nil
                    try self.finished()
                })
            return parts
        }
    }

    private func round() throws -> Parts {
        if let rounded { return rounded }
        let groups = count / Int(RN_GROUP)
        var parts: Parts = (
            data: [UInt8](repeating: 0, count: form == .int8 ? count : count / 2),
            scales: [UInt16](repeating: 0, count: groups),
            minima: [UInt16](repeating: 0, count: form == .int4 ? groups : 1)
        )
        try parts.data.withUnsafeMutableBytes { data in
            try parts.scales.withUnsafeMutableBufferPointer { scales in
                try parts.minima.withUnsafeMutableBufferPointer { minima in
                    try forBlocks { x, start in
                        let group = start / Int(RN_GROUP)
                        let bad = rn_quantize(
                            pool, x.baseAddress, Int64(x.count / columns), Int64(columns), type,
                            data.baseAddress.map { $0 + (form == .int8 ? start : start / 2) },
                            scales.baseAddress.map { $0 + group },
                            form == .int4 ? minima.baseAddress.map { $0 + group } : nil)
                        if bad >= 0 {
                            throw problem(
                                x[Int(bad)...].prefix(Int(RN_GROUP)).allSatisfy(\.isFinite)
                                    ? "has a number near index \(start + Int(bad)) that is too large for a scale in float16"
                                    : "is not finite at index \(start + Int(bad))")
                        }
                    }
                }
            }
        }
        rounded = parts
        return parts
    }

    private func writeHalves(to sink: FileSink) throws {
        var halves = [UInt16](repeating: 0, count: min(count, blockSize))
        try forBlocks { x, start in
            rn_narrow(pool, x.baseAddress, RN_F16, &halves, Int64(x.count))
            if let bad = (0..<x.count).first(where: { halves[$0] & 0x7c00 == 0x7c00 }) {
                throw problem(
                    x[bad].isFinite
                        ? "has a number at index \(start + bad) that is too large for float16"
                        : "is not finite at index \(start + bad)")
            }
            try halves.withUnsafeBytes {
                try sink.write(UnsafeRawBufferPointer(rebasing: $0[..<(2 * x.count)]))
            }
        }
        try finished()
    }

    private func checkFinite() throws {
        guard [.float64, .float32, .float16, .bfloat16].contains(entry.elementType) else { return }
        try forBlocks { x, start in
            if let bad = x.firstIndex(where: { !$0.isFinite }) {
                throw problem("is not finite at index \(start + bad)")
            }
        }
    }

    private func problem(_ text: String) -> RuntimeError {
        .weights(path: path, problem: "'\(entry.name)' \(text): the file is damaged or training diverged")
    }

    /// Whole rows.
    private var blockSize: Int { max(1, Self.blockSize / max(columns, 1)) * max(columns, 1) }

    /// Calls `body` with the values as float32, some whole rows at a time, and the index of the first one.
    private func forBlocks(_ body: (UnsafeBufferPointer<Float>, _ start: Int) throws -> Void) throws {
        let memory = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(1, min(count, blockSize)))
        defer { memory.deallocate() }
        let size = entry.elementType.bitCount / 8
        try folder.withUnsafeBytes(of: entry.name) { bytes in
            for start in stride(from: 0, to: count, by: blockSize) {
                let block = UnsafeMutableBufferPointer(rebasing: memory[..<min(blockSize, count - start)])
                let source = UnsafeRawBufferPointer(
                    rebasing: bytes[(start * size)..<((start + block.count) * size)])
                switch entry.elementType {
                case .float32: UnsafeMutableRawBufferPointer(block).copyMemory(from: source)
                case .bfloat16, .float16:
                    rn_widen(
                        pool, source.baseAddress, entry.elementType == .bfloat16 ? RN_BF16 : RN_F16,
                        block.baseAddress,
                        Int64(block.count))
                case .float64:
                    for i in block.indices {
                        block[i] = Float(source.loadUnaligned(fromByteOffset: 8 * i, as: Double.self))
                    }
                default: throw problem("has \(entry.elementType.summary), not floating-point numbers")
                }
                try body(UnsafeBufferPointer(block), start)
            }
        }
    }
}
