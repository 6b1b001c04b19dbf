import RetNetServing

/// The figures of a server in Prometheus' text format, version 0.0.4.
struct PrometheusText {
    private(set) var text = ""
    private let label: String

    private init(model: String) {
        let escaped = model.map {
            $0 == "\\" ? "\\\\" : $0 == "\"" ? "\\\"" : $0 == "\n" ? "\\n" : String($0)
        }
        label = "model_name=\"\(escaped.joined())\""
    }

    /// Returns the figures of an engine.
    static func of(_ engine: ServingEngine) -> String {
        var result = PrometheusText(model: engine.model.name)
        let (figures, status, store) = (engine.metrics.current, engine.status, engine.store.statistics)
        result.gauge(
            "requests_running", "Requests that read prompts or generate text.",
            status.reading + status.generating)
        result.gauge("requests_reading", "Requests whose prompts are being read.", status.reading)
        result.gauge(
            "texts_generating", "Texts that are being generated: rows of the batch.", status.generating)
        result.gauge("requests_waiting", "Requests in the queue.", status.waiting)
        result.gauge("running_state_bytes", "Bytes of the states of running requests.", status.stateByteCount)
        result.gauge("kept_states", "States that are kept, those with names included.", store.count)
        result.gauge("named_states", "States that are kept under names.", store.namedCount)
        result.gauge("kept_state_bytes", "Bytes of the states that are kept.", store.byteCount)
        result.gauge(
            "kept_state_bytes_limit", "Largest number of bytes of states that are kept.",
            engine.store.byteLimit)
        result.counter(
            "state_evictions_total", "States that had to go because of the limit.", store.evictionCount)
        result.counter(
            "prompt_tokens_total", "Tokens of prompts, those taken from states included.",
            figures.promptTokens)
        result.counter(
            "prefix_cache_hit_tokens_total", "Tokens of prompts that were taken from states.",
            figures.cachedTokens)
        result.counter("generation_tokens_total", "Generated tokens.", figures.generatedTokens)
        result.counter("passes_total", "Passes of the model.", figures.passes)
        result.counter("decoded_rows_total", "Rows of all passes that continue texts.", figures.decodedRows)
        result.counter(
            "requests_refused_total", "Requests refused because the queue was full.", figures.refused)
        result.head("texts_finished_total", "Texts and requests that ended, by reason.", "counter")
        for (reason, count) in figures.finished.sorted(by: { $0.key < $1.key }) {
            result.line("texts_finished_total", count, "finished_reason=\"\(reason)\"")
        }
        result.histogram(
            "time_to_first_token_seconds", "Time from the arrival of a request to its first token.",
            figures.firstToken)
        result.histogram(
            "inter_token_latency_seconds", "Time between two tokens of a text.", figures.betweenTokens)
        result.histogram(
            "e2e_request_latency_seconds", "Time from the arrival of a request to its end.",
            figures.wholeRequest)
        result.histogram("request_queue_time_seconds", "Time of requests in the queue.", figures.queueing)
        return result.text
    }

    private mutating func head(_ name: String, _ help: String, _ kind: String) {
        text += "# HELP retnet_\(name) \(help)\n# TYPE retnet_\(name) \(kind)\n"
    }

    private mutating func line(_ name: String, _ value: some CustomStringConvertible, _ labels: String? = nil)
    {
        text += "retnet_\(name){\(label)\(labels.map { "," + $0 } ?? "")} \(value)\n"
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        head(name, help, "gauge")
        line(name, value)
    }

    private mutating func counter(_ name: String, _ help: String, _ value: Int) {
        head(name, help, "counter")
        line(name, value)
    }

    private mutating func histogram(_ name: String, _ help: String, _ histogram: Histogram) {
        head(name, help, "histogram")
        var total = 0
        for (bound, count) in zip(histogram.bounds, histogram.counts) {
            total += count
            line(name + "_bucket", total, "le=\"\(bound)\"")
        }
        line(name + "_bucket", histogram.count, "le=\"+Inf\"")
        line(name + "_sum", histogram.sum)
        line(name + "_count", histogram.count)
    }
}
