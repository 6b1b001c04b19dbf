/// Keeps the most probable tokens, a fixed number of them.
public struct TopK: SamplingStep {
    /// How many tokens are kept; 0 keeps all.
    public let count: Int

    /// A step that keeps `count` tokens.
    public init(_ count: Int) { self.count = count }

    /// Keeps the tokens with the largest logits; of equal ones those with the lowest numbers.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard count > 0, count < candidates.count else { return }
        let logits = candidates.logits
        let threshold = Self.largest(count, of: logits)
        var roomForEqual = count - logits.reduce(0) { $0 + ($1 > threshold ? 1 : 0) }
        candidates.keep { index in
            if logits[index] > threshold { return true }
            guard logits[index] == threshold, roomForEqual > 0 else { return false }
            roomForEqual -= 1
            return true
        }
    }

    /// The value at place `rank` (from 1) in descending order, found without sorting everything.
    private static func largest(_ rank: Int, of values: [Double]) -> Double {
        var values = values
        var (low, high) = (0, values.count - 1)
        let place = rank - 1
        while low < high {
            // Median of three, and three parts, so that sorted and constant values stay fast.
            let pivot = [values[low], values[(low + high) / 2], values[high]].sorted()[1]
            var (larger, index, smaller) = (low, low, high)
            while index <= smaller {
                if values[index] > pivot {
                    values.swapAt(index, larger)
                    larger += 1
                    index += 1
                } else if values[index] < pivot {
                    values.swapAt(index, smaller)
                    smaller -= 1
                } else {
                    index += 1
                }
            }
            if place < larger {
                high = larger - 1
            } else if place > smaller {
                low = smaller + 1
            } else {
                return pivot
            }
        }
        return values[place]
    }
}
