import Foundation
import RetNetSampling
import RetNetServing

/// The form of states in answers.
enum StateObject {
    static func json(_ state: StateStore.NamedState) -> JSONValue {
        [
            "id": .string(state.name), "object": "state",
            "parent": state.parent.map { .string($0) } ?? .null,
            "tokens": .int(state.snapshot.tokenCount), "bytes": .int(state.snapshot.byteCount),
            "created": .int(Int(state.created.timeIntervalSince1970)),
        ]
    }
}

/// Carries out requests to `/v1/states`.
struct StateHandler: Sendable {
    let engine: ServingEngine

    func list() -> JSONValue {
        let states = engine.store.namedStates.map(StateObject.json)
        let statistics = engine.store.statistics
        return [
            "object": "list", "data": .array(states), "bytes": .int(statistics.byteCount),
            "byte_limit": .int(engine.store.byteLimit),
        ]
    }

    func get(_ name: String) throws -> JSONValue { StateObject.json(try engine.store.state(named: name)) }

    func delete(_ name: String) throws -> JSONValue {
        try engine.store.deleteState(named: name)
        return ["id": .string(name), "object": "state", "deleted": true]
    }

    /// Makes a state: by reading a prompt, from the beginning or after another state, or as a copy of another.
    func create(_ body: JSONValue, deadline: ContinuousClock.Instant?) async throws -> JSONValue {
        var fields = try RequestFields(body)
        guard let name = try fields.string("id") else {
            throw APIError.invalid("id", "'id' is missing: give the name of the new state")
        }
        let parent = try fields.string("from")
        let prompt = fields.take("prompt")
        try fields.finish()
        guard StateStore.isName(name) else { throw ServingError.invalidStateName(name) }
        if (try? engine.store.state(named: name)) != nil { throw ServingError.stateExists(name) }
        let start = try parent.map { try engine.store.state(named: $0).snapshot }
        guard let prompt else {
            guard let parent else {
                throw APIError.invalid(
                    "prompt", "'prompt' is missing: give it, or 'from' for a copy of a state")
            }
            return StateObject.json(try engine.store.fork(parent, as: name))
        }
        var request = ServingRequest(tokens: [])
        switch prompt {
        case .string(let text):
            (request.tokens, request.place) = engine.model.tokens(of: text, continuing: start?.place)
        default:
            guard let tokens = RequestFields.tokens(prompt) else {
                throw APIError.invalid("prompt", "'prompt' must be a text or a list of tokens")
            }
            request.tokens = tokens
            request.place = engine.model.tokenizer.place(after: tokens, from: start?.place ?? .beginning)
        }
        request.start = start
        request.sampling = .greedy(maxTokens: 0)
        request.keepsState = true
        request.deadline = deadline
        for try await event in try engine.submit(request) {
            guard case .end(_, let end) = event, let snapshot = end.snapshot else { continue }
            return StateObject.json(try engine.store.setState(snapshot, named: name, parent: parent))
        }
        throw CancellationError()
    }
}
