import Foundation

/// The start of a run, at which all ranks agree on a number that no earlier start at the same store has.
///
/// A launcher may start the ranks again at a store that holds the keys of the ranks before, and not all launchers count
/// that. So rank 0 draws a new number and answers every rank that asks; a rank takes only the answer to its own question.
struct Meeting {
    private let store: RankStore
    private let assignment: RankAssignment
    private let timeout: Double

    init(_ store: RankStore, _ assignment: RankAssignment, timeout: Double) {
        self.store = store
        self.assignment = assignment
        self.timeout = timeout
    }

    /// Returns the number when all ranks have come; throws ``DistributedError/absent(ranks:seconds:)``.
    func join() throws -> Int { try assignment.rank == 0 ? receive() : ask() }

    private func receive() throws -> Int {
        let number = try store.add(1, to: "retnet/meetings")
        var waiting = Set(1..<assignment.count)
        var answered: [Int: Data] = [:]
        do {
            try repeating {
                waiting.sorted()
            } until: {
                for rank in waiting {
                    if try store.value(MeetingKeys(number).prefix + "joined/\(rank)") != nil {
                        waiting.remove(rank)
                    } else if let question = try store.value("retnet/question/\(rank)"),
                        question != answered[rank]
                    {
                        answered[rank] = question
                        try store.set("retnet/answer/\(rank)", question + Data(" \(number)".utf8))
                    }
                }
                return waiting.isEmpty
            }
        } catch let error as DistributedError {
            // For those that have come.
            _ = try? store.claim(MeetingKeys(number).abort, JSONEncoder().encode(error))
            throw error
        }
        try store.set(MeetingKeys(number).prefix + "complete", Data())
        return number
    }

    private func ask() throws -> Int {
        let question = UUID().uuidString
        try store.set("retnet/question/\(assignment.rank)", Data(question.utf8))
        var number: Int?
        try repeating {
            [0]
        } until: {
            guard let answer = try store.value("retnet/answer/\(assignment.rank)") else { return false }
            let parts = String(decoding: answer, as: UTF8.self).split(separator: " ")
            guard parts.count == 2, parts[0] == question else { return false }
            number = Int(parts[1])
            return number != nil
        }
        guard let number else { throw DistributedError.absent(ranks: [0], seconds: timeout) }
        try store.set(MeetingKeys(number).prefix + "joined/\(assignment.rank)", Data())
        // Rank 0 gives up first, and names those who are missing; this rank cannot know them.
        try repeating(0.5) {
            [0]
        } until: {
            if let data = try store.value(MeetingKeys(number).abort),
                let error = try? JSONDecoder().decode(DistributedError.self, from: data)
            {
                throw error
            }
            return try store.value(MeetingKeys(number).prefix + "complete") != nil
        }
        return number
    }

    /// Repeats a check until it succeeds; throws the ranks that are missing when the time is over.
    private func repeating(
        _ extraShare: Double = 0, _ missing: () -> [Int], until isDone: () throws -> Bool
    ) throws {
        let start = Date()
        var pause = 0.002
        while try !isDone() {
            guard Date().timeIntervalSince(start) < timeout * (1 + extraShare) else {
                throw DistributedError.absent(ranks: missing(), seconds: timeout)
            }
            Thread.sleep(forTimeInterval: pause)
            pause = min(pause * 1.5, 0.05)
        }
    }
}
