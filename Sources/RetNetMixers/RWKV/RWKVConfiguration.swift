import Foundation

/// Sizes and choices of the time mixing of RWKV-4 (arXiv 2305.13048).
public struct RWKVConfiguration: Sendable, Equatable {
    /// d, the number of channels, which is the width of the model.
    public var channelCount: Int
    /// First values of the four matrices.
    public var initialization: RWKVInitialization

    /// Time mixing as in RWKV-4 unless told otherwise.
    public init(channelCount: Int, initialization: RWKVInitialization = .rwkv) {
        self.channelCount = channelCount
        self.initialization = initialization
    }
}

/// Initial values of the vectors of one channel-wise layer; r = layer / (layers - 1), s = 1 - layer / layers.
///
/// Source: BlinkDL/RWKV-LM, RWKV-v4/src/model.py. A single layer counts as the first of many.
struct RWKVInitialVectors {
    private let channelCount: Int
    /// r.
    private let depth: Double
    /// s.
    private let shallow: Double

    init(channelCount: Int, layer: Int, layerCount: Int) {
        self.channelCount = channelCount
        depth = layerCount > 1 ? Double(layer) / Double(layerCount - 1) : 0
        shallow = 1 - Double(layer) / Double(max(1, layerCount))
    }

    /// ω, the logarithm of the decay: -5 + 8 (i/(d-1))^(0.7 + 1.3 r).
    var decay: [Double] {
        let d = Double(channelCount)
        return (0..<channelCount).map { i in
            -5 + 8 * pow(channelCount > 1 ? Double(i) / (d - 1) : 0, 0.7 + 1.3 * depth)
        }
    }
    /// u: ln 0.3, and ½ more or less for every third channel.
    var bonus: [Double] { (0..<channelCount).map { log(0.3) + 0.5 * Double(($0 + 1) % 3 - 1) } }
    /// (i/d)^s.
    var mixKey: [Double] { mix(shallow) }
    /// (i/d)^s + 0.3 r.
    var mixValue: [Double] { mix(shallow).map { $0 + 0.3 * depth } }
    /// (i/d)^(s/2).
    var mixReceptance: [Double] { mix(0.5 * shallow) }

    private func mix(_ exponent: Double) -> [Double] {
        (0..<channelCount).map { pow(Double($0) / Double(channelCount), exponent) }
    }
}
