import RetNetServing

/// The figures of a server in Prometheus' text format, version 0.0.4: one line for each model.
struct PrometheusText {
    private(set) var text = ""
    private let models: [Model]

    /// The figures of a model at one time.
    private struct Model {
        let label: String
        let figures: ServingFigures
        let status: ServingEngine.Status
        let store: StateStore.Statistics
        let byteLimit: Int

        init(_ engine: ServingEngine) {
            let name = engine.model.name.map {
                $0 == "\\" ? "\\\\" : $0 == "\"" ? "\\\"" : $0 == "\n" ? "\\n" : String($0)
            }
            label = "model_name=\"\(name.joined())\""
            (figures, status) = (engine.metrics.current, engine.status)
            (store, byteLimit) = (engine.store.statistics, engine.store.byteLimit)
        }
    }

    private init(_ engines: [ServingEngine]) { models = engines.map { Model($0) } }

    /// Returns the figures of engines.
    static func of(_ engines: [ServingEngine]) -> String {
        var result = PrometheusText(engines)
        result.writeGauges()
        result.writeCounters()
        result.writeHistograms()
        return result.text
    }

    private mutating func writeGauges() {
        gauge("requests_running", "Requests that read prompts or generate text.") {
            $0.status.reading + $0.status.generating
        }
        gauge("requests_reading", "Requests whose prompts are being read.") { $0.status.reading }
        gauge("texts_generating", "Texts that are being generated: rows of the batch.") {
            $0.status.generating
        }
        gauge("requests_waiting", "Requests in the queue.") { $0.status.waiting }
        gauge("running_state_bytes", "Bytes of the states of running requests.") {
            $0.status.stateByteCount
        }
        gauge("kept_states", "States that are kept, those with names included.") { $0.store.count }
        gauge("named_states", "States that are kept under names.") { $0.store.namedCount }
        gauge("kept_state_bytes", "Bytes of the states that are kept.") { $0.store.byteCount }
        gauge("kept_state_bytes_limit", "Largest number of bytes of states that are kept.") { $0.byteLimit }
    }

    private mutating func writeCounters() {
        counter("state_evictions_total", "States that had to go because of the limit.") {
            $0.store.evictionCount
        }
        counter("prompt_tokens_total", "Tokens of prompts, those taken from states included.") {
            $0.figures.promptTokens
        }
        counter("prefix_cache_hit_tokens_total", "Tokens of prompts that were taken from states.") {
            $0.figures.cachedTokens
        }
        counter("generation_tokens_total", "Generated tokens.") { $0.figures.generatedTokens }
        counter("passes_total", "Passes of the model.") { $0.figures.passes }
        counter("decoded_rows_total", "Rows of all passes that continue texts.") { $0.figures.decodedRows }
        counter("requests_refused_total", "Requests refused because the queue was full.") {
            $0.figures.refused
        }
        head("texts_finished_total", "Texts and requests that ended, by reason.", "counter")
        for model in models {
            for (reason, count) in model.figures.finished.sorted(by: { $0.key < $1.key }) {
                line("texts_finished_total", model, count, "finished_reason=\"\(reason)\"")
            }
        }
    }

    private mutating func writeHistograms() {
        histogram("batch_size", "Sequences of a pass: texts, and prompts of which it reads a piece.") {
            $0.batchSize
        }
        histogram("step_seconds", "Time of a pass of the model.") { $0.step }
        histogram(
            "time_to_first_token_seconds", "Time from the arrival of a request to its first token."
        ) { $0.firstToken }
        histogram("inter_token_latency_seconds", "Time between two tokens of a text.") { $0.betweenTokens }
        histogram("e2e_request_latency_seconds", "Time from the arrival of a request to its end.") {
            $0.wholeRequest
        }
        histogram("request_queue_time_seconds", "Time of requests in the queue.") { $0.queueing }
    }

    // MARK: Lines

    private mutating func head(_ name: String, _ help: String, _ kind: String) {
        text += "# HELP retnet_\(name) \(help)\n# TYPE retnet_\(name) \(kind)\n"
    }

    private mutating func line(
        _ name: String, _ model: Model, _ value: some CustomStringConvertible, _ labels: String? = nil
    ) {
        text += "retnet_\(name){\(model.label)\(labels.map { "," + $0 } ?? "")} \(value)\n"
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: (Model) -> Int) {
        head(name, help, "gauge")
        for model in models { line(name, model, value(model)) }
    }

    private mutating func counter(_ name: String, _ help: String, _ value: (Model) -> Int) {
        head(name, help, "counter")
        for model in models { line(name, model, value(model)) }
    }

    private mutating func histogram(_ name: String, _ help: String, _ value: (ServingFigures) -> Histogram) {
        head(name, help, "histogram")
        for model in models {
            let histogram = value(model.figures)
            var total = 0
            for (bound, count) in zip(histogram.bounds, histogram.counts) {
                total += count
                line(name + "_bucket", model, total, "le=\"\(bound)\"")
            }
            line(name + "_bucket", model, histogram.count, "le=\"+Inf\"")
            line(name + "_sum", model, histogram.sum)
            line(name + "_count", model, histogram.count)
        }
    }
}
