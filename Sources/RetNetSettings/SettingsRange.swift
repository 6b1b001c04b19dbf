/// Ranges of floating-point settings that occur often.
public enum SettingsRange {
    /// Every finite number.
    public static let finite: ClosedRange<Double> =
        -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
    /// Finite numbers greater than 0.
    public static let positive: ClosedRange<Double> =
        Double.leastNonzeroMagnitude...Double.greatestFiniteMagnitude
    /// Finite numbers from 0.
    public static let nonNegative: ClosedRange<Double> = 0...Double.greatestFiniteMagnitude
    /// Numbers from 0 and less than 1: probabilities of dropping, betas of Adam.
    public static let belowOne: ClosedRange<Double> = 0...1.0.nextDown
    /// Numbers from 0 to 1.
    public static let fraction: ClosedRange<Double> = 0...1
    /// Numbers greater than 0 and at most 1.
    public static let positiveFraction: ClosedRange<Double> = Double.leastNonzeroMagnitude...1

    /// "a number greater than 0 and less than 1" and the like.
    static func describe(_ range: ClosedRange<Double>) -> String {
        var limits: [String] = []
        if range.lowerBound > -.greatestFiniteMagnitude {
            // A bound one step from a round number stands for an open range.
            let open = range.lowerBound.nextDown
            let isOpen = open == open.rounded() && abs(open) < 0x1p52
            limits.append(isOpen ? "greater than \(short(open))" : "at least \(short(range.lowerBound))")
        }
        if range.upperBound < .greatestFiniteMagnitude {
            let open = range.upperBound.nextUp
            let isOpen = open == open.rounded() && abs(open) < 0x1p52
            limits.append(isOpen ? "less than \(short(open))" : "at most \(short(range.upperBound))")
        }
        return limits.isEmpty ? "a finite number" : "a number " + limits.joined(separator: " and ")
    }

    /// "an integer from 1 to 10" and the like.
    static func describe(_ range: ClosedRange<Int>) -> String {
        switch (range.lowerBound > .min, range.upperBound < .max) {
        case (true, true): "an integer from \(range.lowerBound) to \(range.upperBound)"
        case (true, false): "an integer of at least \(range.lowerBound)"
        case (false, true): "an integer of at most \(range.upperBound)"
        case (false, false): "an integer"
        }
    }

    private static func short(_ value: Double) -> String {
        guard let whole = Int(exactly: value), abs(whole) < 1_000_000 else { return "\(value)" }
        return "\(whole)"
    }
}
