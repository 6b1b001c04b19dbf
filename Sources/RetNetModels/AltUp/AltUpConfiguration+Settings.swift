import RetNetSettings

extension AltUpConfiguration: SettingsRepresentable {
    /// Reads `kind`, `blocks` and the rest, each with the default of the initialiser.
    ///
    /// Keys that mean nothing for a kind are refused.
    public init(reading reader: SettingsReader) {
        let standard = AltUpConfiguration()
        let kind = reader.enumeration("kind", default: standard.kind)
        func only(_ key: String, _ kinds: [Kind]) -> Bool {
            if kinds.contains(kind) { return true }
            if reader.has(key) {
                reader.reportContradiction(key, "the kind '\(kind.rawValue)' has no such choice")
            }
            return false
        }
        let mixes = [Kind.standard, .recycled]
        let hasBlocks = only("blocks", [.standard, .recycled, .sum, .gemma])
        let clip = only("coefficient_clip", [.gemma])
        self.init(
            kind: kind,
            blockCount: hasBlocks
                ? reader.int("blocks", in: 1...64, default: kind == .gemma ? 4 : standard.blockCount) : 1,
            selection: only("selection", mixes)
                ? reader.enumeration("selection", default: standard.selection) : standard.selection,
            layerInput: only("layer_input", mixes)
                ? reader.enumeration("layer_input", default: standard.layerInput) : standard.layerInput,
            initialization: only("initialization", mixes)
                ? reader.enumeration("initialization", default: standard.initialization)
                : standard.initialization,
            reduction: only("reduction", [.recycled])
                ? reader.enumeration("reduction", default: standard.reduction) : standard.reduction,
            coefficientClip: clip ? Self.clip(reader) : standard.coefficientClip,
            sequence: reader.optionalObject("sequence").map { SequenceReductionConfiguration(reading: $0) })
        if kind == .none, sequence == nil {
            reader.reportContradiction("kind", "'none' is for a 'sequence' reduction, which is not there")
        }
    }

    /// 0 stands for no limit.
    private static func clip(_ reader: SettingsReader) -> Double? {
        let limit = reader.double("coefficient_clip", in: 0...1e6, default: 120)
        return limit > 0 ? limit : nil
    }

    /// The choices that the kind has, under their names in configuration files.
    public var settings: SettingsTree {
        var object: SettingsObject = ["kind": .string(kind.rawValue)]
        if kind != .none { object["blocks"] = .int(blockCount) }
        if kind == .standard || kind == .recycled {
            object["selection"] = .string(selection.rawValue)
            object["layer_input"] = .string(layerInput.rawValue)
            object["initialization"] = .string(initialization.rawValue)
        }
        if kind == .recycled { object["reduction"] = .string(reduction.rawValue) }
        if kind == .gemma { object["coefficient_clip"] = .double(coefficientClip ?? 0) }
        if let sequence { object["sequence"] = sequence.settings }
        return .object(object)
    }
}
