extension TokenStream {
    private static let minimumDocumentCountForSplit = 10

    /// Cuts the stream into a training part and a validation part of about the given fraction.
    ///
    /// With ten documents or more, whole documents are picked by `seed` until they hold the fraction of the
    /// tokens; with fewer, the end of the stream is taken. Both parts keep the order of the documents. Throws
    /// `TextError` unless `0 < validationFraction < 1` and there are tokens for both parts.
    public func trainValidationSplit(
        validationFraction: Double, seed: UInt64 = 0
    ) throws -> (train: TokenStream, validation: TokenStream) {
        guard validationFraction > 0, validationFraction < 1 else {
            throw TextError.invalidArgument(
                name: "validationFraction", reason: "\(validationFraction) is not between 0 and 1")
        }
        return documentCount >= Self.minimumDocumentCountForSplit
            ? splitByDocument(Double(tokenCount) * validationFraction, seed: seed)
            : try splitAtEnd(validationFraction)
    }

    /// The stream of some of the documents, in the order of the range; throws `TextError`.
    public func documents(_ range: Range<Int>) throws -> TokenStream {
        guard range.lowerBound >= 0, range.upperBound <= documentCount, !range.isEmpty else {
            throw TextError.outOfBounds(range: range, count: documentCount)
        }
        return picking(Array(range))
    }

    private func splitByDocument(_ wanted: Double, seed: UInt64) -> (TokenStream, TokenStream) {
        var generator = SeededGenerator(seed: seed)
        var order = Array(0..<documentCount)
        generator.shuffle(&order)
        var isValidation = [Bool](repeating: false, count: documentCount)
        var count = 0
        // At least one document is picked, and one document stays for training.
        for index in order.dropLast() where Double(count) < wanted {
            isValidation[index] = true
            count += starts[index + 1] - starts[index]
        }
        let indices = 0..<documentCount
        return (
            picking(indices.filter { !isValidation[$0] }), picking(indices.filter { isValidation[$0] })
        )
    }

    private func splitAtEnd(_ validationFraction: Double) throws -> (TokenStream, TokenStream) {
        let storedCount = tokenCount - documentCount * prefixCount
        guard storedCount > 1 else {
            throw TextError.corpusTooShort(tokenCount: tokenCount, neededTokenCount: 2 + prefixCount)
        }
        let wanted = Int(Double(storedCount) * validationFraction)
        var trainCount = storedCount - min(max(wanted, 1), storedCount - 1)
        var train: [(Part, Int)] = []
        var validation: [(Part, Int)] = []
        for (part, count) in pieces(0..<documentCount) {
            // The document that the cut falls into is divided.
            let offset = min(trainCount, count)
            if offset > 0 { train.append((part, offset)) }
            if offset < count {
                validation.append((Part(source: part.source, start: part.start + offset), count - offset))
            }
            trainCount -= offset
        }
        return (assembling(train), assembling(validation))
    }

    private func pieces(_ documents: Range<Int>) -> [(Part, Int)] {
        documents.map { (parts[$0], starts[$0 + 1] - starts[$0] - prefixCount) }
    }

    private func picking(_ documents: [Int]) -> TokenStream {
        assembling(documents.map { (parts[$0], starts[$0 + 1] - starts[$0] - prefixCount) })
    }

    private func assembling(_ pieces: [(Part, Int)]) -> TokenStream {
        TokenStream(from: self, parts: pieces.map(\.0), counts: pieces.map(\.1))
    }
}
