import Foundation
import RetNetSettings

/// Sizes and choices of a Hyena layer (arXiv 2302.10866).
public struct HyenaConfiguration: Sendable, Equatable {
    /// d, the number of channels.
    public var channelCount: Int
    /// The number of gates plus values; as in the authors' code, order n has n - 1 long filters.
    public var order: Int
    /// L, the longest sequence.
    ///
    /// The filters are functions of t / L, so another L is another model.
    public var maximumLength: Int
    /// e, the number of positional features, odd: time, and cosines and sines of (e - 1) / 2 frequencies.
    public var featureCount: Int
    /// The width of the hidden layers of the network that makes the filters.
    public var filterSize: Int
    /// The initial frequency of its sine activations: 14 for language, 10 for synthetic tasks.
    public var sineFrequency: Double
    /// W, the taps of the short convolution on all projections.
    public var shortSize: Int
    /// The number added to the exponential window of the filters.
    public var windowShift: Double
    /// True if positional features are trained, as they are in the authors' code unless their learning rate is 0.
    public var trainsFeatures: Bool

    /// The authors' layer for language by default.
    public init(
        channelCount: Int, order: Int = 2, maximumLength: Int = 2048, featureCount: Int = 33,
        filterSize: Int = 64, sineFrequency: Double = 14, shortSize: Int = 3, windowShift: Double = 0,
        trainsFeatures: Bool = false
    ) {
        self.channelCount = channelCount
        self.order = order
        self.maximumLength = maximumLength
        self.featureCount = featureCount
        self.filterSize = filterSize
        self.sineFrequency = sineFrequency
        self.shortSize = shortSize
        self.windowShift = windowShift
        self.trainsFeatures = trainsFeatures
    }

    /// The number of long filters per channel.
    public var filterCount: Int { order - 1 }
}

extension HyenaConfiguration: DeclaredSettings {
    /// One channel; the number must be given.
    public static let standard = HyenaConfiguration(channelCount: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int(
                "channel_count", \.channelCount, in: MixerSizes.channels, isRequired: true,
                "Number of channels."),
            .int("order", \.order, in: 2...8, "Number of gates plus values; order n has n - 1 long filters."),
            .int(
                "maximum_length", \.maximumLength, in: 2...1 << 24,
                "Longest sequence; filters are functions of the position divided by it."),
            .int(
                "feature_count", \.featureCount, in: 3...1 << 10,
                "Number of positional features of the filters' network, odd."),
            .int(
                "filter_size", \.filterSize, in: 1...1 << 12, "Width of the filters' network."),
            .double(
                "sine_frequency", \.sineFrequency, in: 0...1e4,
                "Initial frequency of the network's sine activations."),
            .int(
                "short_size", \.shortSize, in: MixerSizes.taps,
                "Taps of the short convolution on all projections."),
            .double(
                "window_shift", \.windowShift, in: -1e3...1e3,
                "Number added to the exponential window of the filters."),
            .bool("trains_features", \.trainsFeatures, "Trained positional features."),
        ]
    }

    /// Reports an even number of features.
    public func reportContradictions(to reader: SettingsReader) {
        guard featureCount % 2 == 0 else { return }
        reader.reportContradiction(
            "feature_count", "it must be odd: time, and a cosine and a sine of each frequency")
    }
}

extension HyenaConfiguration: MixerSpecification {
    /// ``MixerConfiguration/hyena(_:)``.
    public var configuration: MixerConfiguration { .hyena(self) }

    /// The inputs of every long filter, n d each, and the last inputs of the short convolution.
    public var stateTensors: [StateTensor] {
        [StateTensor("ring", [shortSize - 1, (order + 1) * channelCount])]
            + (0..<max(0, filterCount)).map {
                StateTensor("history_\($0 + 1)", [0, channelCount], growingAlong: 0)
            }
    }

    /// 2 (n + 1) per channel and long filter, the short convolution, gates and skips.
    public func recurrentFLOPs(position: Int) -> Int {
        channelCount * (filterCount * (2 * (position + 1) + 4) + 2 * shortSize * (order + 1))
    }

    /// The parallel form: every piece would read the whole past again.
    public var trainingForm: MixerForm { .parallel }

    /// Two transforms of twice the length per channel and long filter, and the network at every position.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        let length = Double(min(max(1, chunkLength), maximumLength))
        return channelCount * (filterCount * Int(20 * log2(2 * length)) + 2 * shortSize * (order + 1))
    }
}
