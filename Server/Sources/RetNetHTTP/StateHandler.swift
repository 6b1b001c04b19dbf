import Foundation
import RetNetSampling
import RetNetServing
import RetNetStorage

/// The form of states in answers.
enum StateObject {
    static func json(_ state: StateStore.NamedState, _ states: StateKeeper) -> JSONValue {
        [
            "id": .string(state.name), "object": "state",
            "parent": state.parent.map { .string($0) } ?? .null,
            "tokens": .int(state.snapshot.tokenCount), "bytes": .int(state.snapshot.byteCount),
            "created": .int(Int(state.created.timeIntervalSince1970)), "loaded": true,
            "saved": .bool(states.folder?.contains(state.name) ?? false),
        ]
    }

    /// A state that is in the folder only, unread.
    static func json(unread name: String, _ folder: StateFolder) -> JSONValue {
        [
            "id": .string(name), "object": "state", "parent": nil, "tokens": nil,
            "bytes": folder.byteCount(name).map { .int($0) } ?? .null, "created": nil, "loaded": false,
            "saved": true,
        ]
    }
}

/// Carries out requests to `/v1/states`.
struct StateHandler: Sendable {
    let engine: ServingEngine
    let states: StateKeeper

    init(_ served: ServedModel) { (engine, states) = (served.engine, served.states) }

    func list() -> JSONValue {
        let loaded = states.store.namedStates
        let names = Set(loaded.map(\.name))
        let unread = (states.folder?.names ?? []).filter { !names.contains($0) }
        let objects =
            loaded.map { ($0.name, StateObject.json($0, states)) }
            + unread.compactMap { name in states.folder.map { (name, StateObject.json(unread: name, $0)) } }
        return [
            "object": "list", "data": .array(objects.sorted { $0.0 < $1.0 }.map(\.1)),
            "bytes": .int(states.store.statistics.byteCount), "byte_limit": .int(states.store.byteLimit),
        ]
    }

    func get(_ name: String) throws -> JSONValue { StateObject.json(try states.state(named: name), states) }

    func save(_ name: String) throws -> JSONValue { StateObject.json(try states.save(name), states) }

    func delete(_ name: String) throws -> JSONValue {
        try states.delete(name)
        return ["id": .string(name), "object": "state", "deleted": true]
    }

    /// Makes a state: by reading a prompt, from the beginning or after another state, or as a copy of another.
    func create(_ body: JSONValue, deadline: ContinuousClock.Instant?) async throws -> JSONValue {
        var fields = try RequestFields(body)
        try CompletionRequest.checkModel(&fields, engine.model)
        if engine.model.isEncoderDecoder { throw ServingError.noStates(of: engine.model) }
        guard let name = try fields.read(Fields.id) else {
            throw APIError.invalid("id", "'id' is missing: give the name of the new state")
        }
        let parent = try fields.read(Fields.parent)
        let prompt = try fields.read(Fields.statePrompt)
        let persists = try fields.read(Fields.persists) ?? false
        try fields.finish()
        guard StateStore.isName(name) else { throw ServingError.invalidStateName(name) }
        if states.contains(name) { throw ServingError.stateExists(name) }
        if persists, states.folder == nil { throw ServingError.noStateFolder }
        let states = states
        let start = try await Blocking.run { try parent.map { try states.state(named: $0).snapshot } }
        func keep(_ snapshot: StateSnapshot) async throws -> JSONValue {
            try await Blocking.run {
                StateObject.json(
                    try states.set(snapshot, named: name, parent: parent, persists: persists), states)
            }
        }
        guard let prompt else {
            guard let start else {
                throw APIError.invalid(
                    "prompt", "'prompt' is missing: give it, or 'from' for a copy of a state")
            }
            return try await keep(start)
        }
        var request = ServingRequest(tokens: [])
        switch prompt {
        case .string(let text):
            (request.tokens, request.place) = engine.model.tokens(of: text, continuing: start?.place)
        default:
            guard let tokens = Field<[Int32]>.tokens(prompt) else {
                throw APIError.invalid("prompt", "'prompt' must be a text or a list of tokens")
            }
            request.tokens = tokens
            request.place = engine.model.place(after: tokens, from: start?.place ?? .beginning)
        }
        request.start = start
        request.sampling = .greedy(maxTokens: 0)
        request.keepsState = true
        request.deadline = deadline
        for try await event in try engine.submit(request) {
            guard case .end(_, let end) = event, let snapshot = end.snapshot else { continue }
            return try await keep(snapshot)
        }
        throw CancellationError()
    }
}
