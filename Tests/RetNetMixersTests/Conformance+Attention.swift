import RetNetMixers

extension Subject {
    /// Multi-head, grouped and multi-query attention, with every kind of positions.
    static let attention: [Subject] = [
        Subject("attention", .attention(AttentionConfiguration(headCount: 3, headSize: 4))),
        Subject(
            "attention, grouped",
            .attention(
                AttentionConfiguration(
                    headCount: 4, keyValueHeadCount: 2, headSize: 6, rotation: .halves, biases: true))),
        Subject(
            "attention, multi-query, no positions",
            .attention(
                AttentionConfiguration(headCount: 2, keyValueHeadCount: 1, headSize: 5, rotation: .none))),
        // A base this small moves the origin every four tokens, so that short tests cross it often.
        Subject(
            "attention, xPos",
            .attention(AttentionConfiguration(headCount: 2, headSize: 6, xPosScaleBase: 0.5))),
    ]
}
