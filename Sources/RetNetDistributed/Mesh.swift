/// The ranks of a run in a mesh, with the groups along its axes.
///
/// A group that has all ranks is the run's own; others have connections of their own, made by keys of the same meeting.
/// Axes with one rank have no group.
public final class Mesh {
    /// All ranks.
    public let world: ProcessGroup
    /// The number of ranks along every axis.
    public let shape: MeshShape
    /// The place of this rank.
    public let place: MeshPlace
    /// The ranks with copies of what this one has; nil for one.
    public let data: ProcessGroup?
    /// The ranks with the other parts of this one's sequences; nil for one.
    public let sequence: ProcessGroup?
    /// The ranks with the other parts of this one's layers; nil for one.
    public let tensor: ProcessGroup?
    /// The ranks with the same part of every layer, over which gradients are summed: `data` times `sequence`; nil for one.
    public let replicas: ProcessGroup?

    /// Joins the groups of a mesh; all ranks call it.
    ///
    /// Throws ``MeshError`` for a mesh of another number of ranks, and ``DistributedError`` for one that differs from that of rank 0.
    public init(_ world: ProcessGroup, _ shape: MeshShape) throws {
        guard shape.count == world.count else {
            throw MeshError(
                "the mesh '\(shape)' has \(shape.count) ranks, but the run has \(world.count)")
        }
        try world.checkEqual([("mesh", shape.description)])
        self.world = world
        self.shape = shape
        place = shape.place(of: world.rank)
        func group(_ name: String, _ axes: Set<MeshShape.Axis>) throws -> ProcessGroup? {
            let members = shape.members(of: world.rank, varying: axes)
            return members.count == 1 ? nil : try world.part(name, members: members)
        }
        // In one order on all ranks, for each waits for the others.
        data = try group("data", [.data])
        sequence = try group("sequence", [.sequence])
        tensor = try group("tensor", [.tensor])
        replicas =
            switch (shape.data, shape.sequence) {
            case (_, 1): data
            case (1, _): sequence
            default: try group("replicas", [.data, .sequence])
            }
    }

    /// Makes the mesh that was asked for, or one of copies only.
    public convenience init(_ world: ProcessGroup, _ request: MeshRequest? = nil) throws {
        try self.init(world, (request ?? MeshRequest()).shape(rankCount: world.count))
    }

    /// True on the ranks that, together, hold the first copy of the model: rank 0 and those with the rest of its layers.
    public var holdsFirstCopy: Bool { place.data == 0 && place.sequence == 0 }
}
