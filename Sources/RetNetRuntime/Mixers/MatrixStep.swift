import RetNetKernels

/// Steps of a state with a matrix per head, for all rows of a pass.
///
///     S_t = (I - β_t k_tᵀ k_t) diag(g_t) S_{t-1} + β_t k_tᵀ v_t        o_t = q_t S_t
///
/// Without β nothing is erased: S_t = diag(g_t) S_{t-1} + k_tᵀ v_t.
struct MatrixStep {
    let query: Rows
    let key: Rows
    let value: Rows
    var decays = StepDecays.none
    /// β [rows, h]; nil without the delta rule.
    var strengths: Rows?

    init(_ query: Rows, _ key: Rows, _ value: Rows) {
        self.query = query
        self.key = key
        self.value = value
    }
}

/// The sizes of a state with a matrix per head.
struct MatrixShape: Hashable {
    let headCount: Int
    let keySize: Int
    let valueSize: Int
    /// Heads that share a head of queries, of keys, and of values.
    var queryGroup = 1
    var keyGroup = 1
    var valueGroup = 1
    /// Whether and what the steps decay.
    var decayKind = RN_NO_DECAY

    init(headCount: Int, keySize: Int, valueSize: Int, decays: rn_decay_kind = RN_NO_DECAY) {
        self.headCount = headCount
        self.keySize = keySize
        self.valueSize = valueSize
        decayKind = decays
    }

    /// Returns the recurrence of the kernels, without rows.
    func recurrence(_ type: StateElementType) -> rn_recurrence {
        var c = rn_recurrence()
        c.heads = Int64(headCount)
        c.key_size = Int64(keySize)
        c.value_size = Int64(valueSize)
        c.state_type = type.kernel
        c.query_share = Int64(queryGroup)
        c.key_share = Int64(keyGroup)
        c.value_share = Int64(valueGroup)
        c.decay_kind = decayKind
        return c
    }
}

/// The places of a matrix per head, and of the last tokens, which are not in it yet, in the state of a sequence.
struct MatrixMemory: Hashable {
    let shape: MatrixShape
    let state: StatePlace
    let recent: StatePlace

    var recurrence: rn_recurrence { shape.recurrence(state.type) }
}

/// The decays g of a matrix step, as factors: one per head, or one per head and key channel, as its state declares.
enum StepDecays {
    /// Nothing decays.
    case none
    /// The same for all rows.
    case constants([Float])
    /// Those of every row.
    case rows(Rows)
}

extension Pass {
    /// Runs the steps on the states of the pass, at a place in them; returns o [rows, h · b].
    func run(_ step: MatrixStep, at memory: MatrixMemory) -> Rows {
        let out = rows(memory.shape.headCount * memory.shape.valueSize, count: step.query.count)
        var c = memory.recurrence
        c.query = UnsafePointer(step.query.data)
        c.query_stride = Int64(step.query.stride)
        c.key = UnsafePointer(step.key.data)
        c.key_stride = Int64(step.key.stride)
        c.value = UnsafePointer(step.value.data)
        c.value_stride = Int64(step.value.stride)
        c.strengths = step.strengths.map { UnsafePointer($0.data) }
        c.strength_stride = Int64(step.strengths?.stride ?? 0)
        c.output = out.data
        c.output_stride = Int64(out.stride)
        let sequences = sequences(at: memory.state, recent: memory.recent)
        func run(_ decays: UnsafePointer<Float>?, stride: Int = 0) {
            c.decays = decays
            c.decay_stride = Int64(stride)
            let scratch = workspace.bytes(Int(rn_recur_scratch(pool, &c)))
            rn_recur(pool, &c, sequences, Int64(segmentCount), scratch)
        }
        switch step.decays {
        case .none: run(nil)
        case .constants(let decays): run(decays)
        case .rows(let decays): run(decays.data, stride: decays.stride)
        }
        return out
    }
}
