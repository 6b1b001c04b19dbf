import Foundation
import RetNetTorch

/// Tables computed from weights, kept until a byte of the weights changes.
///
/// Steps of a decoding would otherwise compute the same tables for every token. Weights are told apart by a
/// fingerprint of their bytes, so that any change by anyone is noticed; where there is none, off the CPU, nothing is
/// kept.
final class DerivedTables {
    private struct Kept {
        var fingerprint: UInt64
        var size: Int
        var type: ElementType
        var tables: [Tensor]
    }
    private var kept: Kept?
    private let lock = NSLock()

    /// The tables for weights, at least of a size and exactly of a type; made without gradients.
    func callAsFunction(_ weights: [Tensor], size: Int, _ type: ElementType, _ make: () throws -> [Tensor])
        throws
        -> [Tensor]
    {
        guard weights.allSatisfy({ $0.device == .cpu }) else { return try withoutGradients(make) }
        let fingerprint = try Tensor.fingerprint(of: weights)
        lock.lock()
        defer { lock.unlock() }
        if let kept, kept.fingerprint == fingerprint, kept.size >= size, kept.type == type {
            return kept.tables
        }
        let tables = try withoutGradients(make)
        kept = Kept(fingerprint: fingerprint, size: size, type: type, tables: tables)
        return tables
    }
}
