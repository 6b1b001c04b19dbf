import Foundation

/// The buckets of T5's relative positions (Raffel et al., arXiv 1910.10683, section 2.1).
public enum T5RelativeBuckets {
    /// The bucket of `relative` = key position - query position.
    ///
    /// Half of the buckets of a direction are single distances, the others grow geometrically up to
    /// `maximumDistance`. Bidirectional attention gives keys to the right the upper half of all buckets; otherwise
    /// they share bucket 0 with distance 0.
    public static func bucket(
        relative: Int, bidirectional: Bool, bucketCount: Int = 32, maximumDistance: Int = 128
    ) -> Int {
        guard bidirectional else {
            return distanceBucket(max(0, -relative), count: bucketCount, maximumDistance: maximumDistance)
        }
        let half = bucketCount / 2
        return (relative > 0 ? half : 0)
            + distanceBucket(abs(relative), count: half, maximumDistance: maximumDistance)
    }

    /// The bucket of a distance from 0 among those of one direction.
    private static func distanceBucket(_ distance: Int, count: Int, maximumDistance: Int) -> Int {
        let exact = max(1, count / 2)
        guard distance >= exact else { return distance }
        let steps = Double(count - exact)
        let position = log(Double(distance) / Double(exact)) / log(Double(maximumDistance) / Double(exact))
        // Exact powers lie on a boundary: rounding must not drop them into the bucket below.
        return min(count - 1, exact + Int((position * steps + 1e-9).rounded(.down)))
    }
}
