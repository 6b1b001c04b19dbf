import RetNetTorch

/// Makes dropout draw the same numbers when a segment is computed again.
final class DropoutReplay {
    private let generator: Generator?
    private var start: [UInt8]?

    init(_ generator: Generator?) { self.generator = generator }

    func run<R>(_ body: () throws -> R) throws -> R {
        guard let generator else { return try body() }
        guard let start else {
            start = try generator.state()
            return try body()
        }
        let now = try generator.state()
        try generator.restore(start)
        let result = try body()
        try generator.restore(now)
        return result
    }
}
