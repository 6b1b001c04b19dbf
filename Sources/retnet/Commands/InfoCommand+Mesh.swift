import RetNetCommandLine
import RetNetDistributed
import RetNetReporting
import RetNetSettings
import RetNetTraining

extension InfoCommand {
    /// Shows what one rank of a mesh holds and sends.
    func show(_ request: MeshRequest) throws {
        let model = try source.configuration()
        // A preset brings its recipe; a trained model the settings that runs have by default.
        var base = model.settings
        if let preset = source.preset { base = ["preset": .string(preset)] }
        let run = try RunConfiguration<LanguageModelTask>(
            SettingsDocument(["model": base]),
            assignments: changes.map { try SettingsAssignment(parsing: $0) })
        let accounting = try MeshAccounting(run, mesh: request.smallestShape)
        if json { return try Console.json(tree(accounting, run)) }
        Console.result(text(accounting, run))
    }

    private func text(_ accounting: MeshAccounting, _ run: RunConfiguration<LanguageModelTask>) -> String {
        let shape = accounting.shape
        var table = TextTable(
            header: ["\(source.name), one of \(Format.grouped(shape.count)) ranks", "", ""],
            alignments: [.left, .right, .left])
        func add(_ name: String, _ value: String, _ note: String = "") { table.append([name, value, note]) }
        add("mesh", shape.description)
        add(
            "step", Format.grouped(accounting.tokensPerStep),
            "tokens on all ranks: \(run.training.accumulationCount) passes of \(run.task.data.batchSize) rows of"
                + " \(run.task.data.length)")
        add(
            "", Format.grouped(accounting.passCount * accounting.tokensPerPass),
            "on this rank, in \(accounting.passCount) passes")
        add("work", Format.count(accounting.flopsPerStep), "FLOPs on this rank")
        add(
            "memory", Format.bytes(accounting.byteCount),
            "estimated, without the program and temporary tensors")
        for kind in MeshAccounting.Memory.allCases {
            guard let bytes = accounting.memory[kind], bytes > 0 else { continue }
            let name = kind.rawValue.replacingOccurrences(of: "_", with: " ")
            add("  \(name)", Format.bytes(bytes), note(kind, accounting, run))
        }
        add("sent in a step", Format.bytes(accounting.sentByteCount), "by rings; received as much")
        for traffic in accounting.traffic {
            let axes = traffic.axes.map(\.rawValue).joined(separator: " × ")
            add(
                "  \(axes)", Format.bytes(traffic.sentByteCount),
                "\(traffic.name): \(Format.grouped(traffic.count)) of \(Format.bytes(traffic.messageByteCount))"
            )
        }
        return table.text()
    }

    private func note(
        _ kind: MeshAccounting.Memory, _ accounting: MeshAccounting,
        _ run: RunConfiguration<LanguageModelTask>
    ) -> String {
        switch kind {
        case .parameters: "\(Format.count(accounting.parameterCount)) in float32"
        case .gradients: "float32"
        case .optimizer:
            run.training.optimizer.kind.rawValue
                + (run.training.distribution.shardsOptimizer ? ", shared between copies" : "")
        case .activations:
            "\(Format.grouped(accounting.tokensPerPass)) tokens"
                + (run.task.recomputesActivations ? ", computed again in the backward pass" : "")
        case .copies, .wire, .logits: ""
        }
    }

    private func tree(_ accounting: MeshAccounting, _ run: RunConfiguration<LanguageModelTask>)
        -> SettingsTree
    {
        let axes = MeshShape.Axis.allCases.map { ($0.rawValue, SettingsTree.int(accounting.shape[$0])) }
        let memory = MeshAccounting.Memory.allCases.map {
            ($0.rawValue, SettingsTree.int(accounting.memory[$0] ?? 0))
        }
        let traffic = accounting.traffic.map { traffic -> SettingsTree in
            [
                "name": .string(traffic.name), "axes": .array(traffic.axes.map { .string($0.rawValue) }),
                "messages": .int(traffic.count), "message_bytes": .int(traffic.messageByteCount),
                "sent_bytes": .int(traffic.sentByteCount),
            ]
        }
        return [
            "name": .string(source.name), "mesh": .ordered(axes), "ranks": .int(accounting.shape.count),
            "parameters": .int(accounting.parameterCount), "passes": .int(accounting.passCount),
            "tokens_per_pass": .int(accounting.tokensPerPass),
            "tokens_per_step": .int(accounting.tokensPerStep),
            "flops_per_step": .double(accounting.flopsPerStep), "memory_bytes": .ordered(memory),
            "total_bytes": .int(accounting.byteCount), "traffic": .array(traffic),
            "sent_bytes": .int(accounting.sentByteCount),
        ]
    }
}
