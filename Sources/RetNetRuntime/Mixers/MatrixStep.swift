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
    let headCount: Int
    let keySize: Int
    let valueSize: Int
    /// Heads that share a head of queries, of keys, and of values.
    var queryGroup = 1
    var keyGroup = 1
    var valueGroup = 1
    var decays = StepDecays.none
    /// β [rows, h]; nil without the delta rule.
    var strengths: Rows?

    init(_ query: Rows, _ key: Rows, _ value: Rows, headCount: Int, keySize: Int, valueSize: Int) {
        self.query = query
        self.key = key
        self.value = value
        self.headCount = headCount
        self.keySize = keySize
        self.valueSize = valueSize
    }
}

/// The decays g of a matrix step, as factors.
enum StepDecays {
    /// Nothing decays.
    case none
    /// One per head for all rows.
    case constants([Float])
    /// One per head and key channel for all rows.
    case constantChannels([Float])
    /// One per row and head.
    case heads(Rows)
    /// One per row, head and key channel.
    case channels(Rows)
}

extension Pass {
    /// Runs the steps on the states of the pass, at a place in them; returns o [rows, h · b].
    func run(_ step: MatrixStep, at place: StatePlace) -> Rows {
        let out = rows(step.headCount * step.valueSize, count: step.query.count)
        var c = rn_recurrence()
        c.heads = Int64(step.headCount)
        c.key_size = Int64(step.keySize)
        c.value_size = Int64(step.valueSize)
        c.state_type = place.type.kernel
        c.query_share = Int64(step.queryGroup)
        c.key_share = Int64(step.keyGroup)
        c.value_share = Int64(step.valueGroup)
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
        let sequences = sequences(at: place)
        func run(_ kind: rn_decay_kind, _ decays: UnsafePointer<Float>?, stride: Int = 0) {
            c.decay_kind = kind
            c.decays = decays
            c.decay_stride = Int64(stride)
            rn_recur(pool, &c, sequences, Int64(segmentCount))
        }
        switch step.decays {
        case .none: run(RN_NO_DECAY, nil)
        case .constants(let decays): run(RN_HEAD_DECAY, decays)
        case .constantChannels(let decays): run(RN_CHANNEL_DECAY, decays)
        case .heads(let decays): run(RN_HEAD_DECAY, decays.data, stride: decays.stride)
        case .channels(let decays): run(RN_CHANNEL_DECAY, decays.data, stride: decays.stride)
        }
        return out
    }
}
