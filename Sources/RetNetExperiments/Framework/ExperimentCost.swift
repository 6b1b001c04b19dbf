import RetNetReporting

/// The work and memory of an experiment, by arithmetic.
public struct ExperimentCost: Sendable, Equatable {
    /// Model FLOPs of all training; 0 for experiments that train nothing.
    public var trainingFLOPs: Double
    /// Tokens of all training.
    public var tokenCount: Double
    /// Models that are trained or measured.
    public var modelCount: Int
    /// Bytes that the largest model needs at least; what is not in them is among the remarks.
    public var largestByteCount: Int
    /// What else there is to know, in sentences.
    public var remarks: [String]

    /// A cost of given parts.
    public init(
        trainingFLOPs: Double, tokenCount: Double, modelCount: Int, largestByteCount: Int,
        remarks: [String] = ["Activations come on top of the memory."]
    ) {
        self.trainingFLOPs = trainingFLOPs
        self.tokenCount = tokenCount
        self.modelCount = modelCount
        self.largestByteCount = largestByteCount
        self.remarks = remarks
    }

    /// What to expect on so many devices that each compute so many useful FLOPs a second, in sentences.
    ///
    /// More than one device is mere arithmetic: this program computes on one.
    public func text(flopsPerSecond: Double, deviceCount: Int = 1) -> String {
        var sentences: [String] = []
        let devices = max(1, deviceCount)
        if trainingFLOPs > 0 {
            let rate = max(1, flopsPerSecond) * Double(devices)
            sentences.append(
                "\(modelCount) models on \(Format.count(tokenCount)) tokens in all:"
                    + " \(Format.count(trainingFLOPs)) FLOP, \(Format.duration(seconds: trainingFLOPs / rate)) on"
                    + " \(devices == 1 ? "one device" : "\(devices) devices") of"
                    + " \(Format.count(flopsPerSecond)) useful FLOP a second.")
            if devices > 1 {
                sentences.append(
                    "This program trains on one device: the others would have to share the models.")
            }
        }
        sentences.append("The largest model needs at least \(Format.bytes(largestByteCount)) of memory.")
        return (sentences + remarks).joined(separator: " ")
    }
}
