extension SentencePieceTokenizer {
    /// The text of tokens, without the space that encoding puts in front.
    ///
    /// Control symbols, sentinels and numbers outside the vocabulary vanish. Bytes that are no valid UTF-8 become
    /// U+FFFD, each for itself.
    public func decode(_ tokens: [Int32]) -> String {
        var output: [UInt8] = []
        output.reserveCapacity(tokens.count * 4)
        var bytes: [UInt8] = []
        var isAtStart = true
        var droppedSpace = false
        for token in tokens {
            let isPiece = model.pieces.indices.contains(Int(token))
            if isPiece, model.pieces[Int(token)].kind == .byte {
                bytes.append(contentsOf: surface(token))
                continue
            }
            Self.appendValid(&bytes, to: &output)
            if droppedSpace || !output.isEmpty { isAtStart = false }
            var text = surface(token)
            droppedSpace = false
            if isAtStart, isPiece, dropsFirstSpace, beginsWithSpace(token) {
                text = text.dropFirst()
                // Where spaces are collapsed, all at the start go.
                droppedSpace = !model.normalization.removesExtraSpaces
            }
            output.append(contentsOf: text)
        }
        Self.appendValid(&bytes, to: &output)
        if let denormalizer { output = output.withUnsafeBufferPointer { denormalizer.normalize($0) } }
        return String(decoding: output, as: UTF8.self)
    }

    private var dropsFirstSpace: Bool {
        model.normalization.addsDummyPrefix || model.normalization.removesExtraSpaces
    }

    private func beginsWithSpace(_ token: Int32) -> Bool {
        let piece = model.pieces[Int(token)]
        switch piece.kind {
        case .normal, .userDefined, .unused:
            return file[piece.text].starts(with: SentencePieceNormalizer.visibleSpace)
        case .unknown, .control, .byte: return false
        }
    }

    /// Moves bytes that were spelled out, character by character.
    private static func appendValid(_ bytes: inout [UInt8], to output: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        bytes.withUnsafeBufferPointer { bytes in
            var index = 0
            while index < bytes.count {
                if let length = UTF8Character.length(bytes, at: index) {
                    output.append(contentsOf: bytes[index..<index + length])
                    index += length
                } else {
                    output.append(contentsOf: [0xEF, 0xBF, 0xBD])
                    index += 1
                }
            }
        }
        bytes.removeAll(keepingCapacity: true)
    }
}
