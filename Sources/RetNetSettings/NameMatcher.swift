/// Finds the known name that somebody probably meant.
public enum NameMatcher {
    /// The nearest of the candidates, if it is near enough to be worth suggesting.
    public static func nearest(to name: String, in candidates: [String]) -> String? {
        // Long names are never typing mistakes, and the distance costs the product of both lengths.
        guard name.count <= 64 else { return nil }
        let folded = fold(name)
        var best: (name: String, distance: Int)?
        for candidate in candidates where candidate.count <= 64 {
            let distance = editDistance(folded, fold(candidate))
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        guard let best, best.distance == 0 || best.distance <= max(1, folded.count / 3),
            best.distance < max(1, folded.count)
        else { return nil }
        return best.name
    }

    /// Letters and digits in lower case: `learningRate`, `learning-rate` and `learning_rate` are one name.
    private static func fold(_ name: String) -> [Character] {
        Array(name.lowercased().filter { $0.isLetter || $0.isNumber })
    }

    /// Insertions, deletions, changes and swaps of neighbours that turn one into the other.
    private static func editDistance(_ a: [Character], _ b: [Character]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                let change = last[j] + (a[i] == b[j] ? 0 : 1)
                var cost = min(row[j] + 1, last[j + 1] + 1, change)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    cost = min(cost, beforeLast[j - 1] + 1)
                }
                row.append(cost)
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }
}
