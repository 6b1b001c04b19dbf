import Foundation

/// The field numbers come from TensorFlow's `event.proto`, `summary.proto` and `tensor.proto`.
extension TensorBoardLog {
    /// The first event of every file.
    static func versionEvent(wallTime: Double) -> Data {
        var event = ProtobufWriter()
        event.double(field: 1, wallTime)
        event.string(field: 3, "brain.Event:2")
        return event.data
    }

    /// The event which makes TensorBoard drop older values of this and later steps.
    static func startEvent(wallTime: Double, step: Int64) -> Data {
        var event = ProtobufWriter()
        event.double(field: 1, wallTime)
        event.varint(field: 2, step)
        event.message(field: 7) { session in session.varint(field: 1, 1) }
        return event.data
    }

    static func scalarEvent(
        _ values: [(tag: String, value: Double)], step: Int64, wallTime: Double
    ) -> Data {
        summaryEvent(step: step, wallTime: wallTime) { summary in
            for (tag, value) in values {
                summary.message(field: 1) { entry in
                    entry.string(field: 1, tag)
                    entry.float(field: 2, Float(value))
                }
            }
        }
    }

    static func textEvent(_ tag: String, _ text: String, step: Int64, wallTime: Double) -> Data {
        summaryEvent(step: step, wallTime: wallTime) { summary in
            summary.message(field: 1) { entry in
                entry.string(field: 1, tag)
                entry.message(field: 8) { tensor in
                    tensor.varint(field: 1, 7)  // DT_STRING
                    tensor.message(field: 2) { shape in
                        shape.message(field: 2) { dimension in dimension.varint(field: 1, 1) }
                    }
                    tensor.string(field: 8, text)
                }
                entry.message(field: 9) { metadata in
                    metadata.message(field: 1) { plugin in plugin.string(field: 1, "text") }
                }
            }
        }
    }

    /// A record: length, checksum of the length, payload, checksum of the payload.
    static func framed(_ payload: Data) -> Data {
        var length = Data()
        length.appendLittleEndian(UInt64(payload.count))
        var record = length
        record.appendLittleEndian(CRC32C.masked(length))
        record.append(payload)
        record.appendLittleEndian(CRC32C.masked(payload))
        return record
    }

    private static func summaryEvent(
        step: Int64, wallTime: Double, _ build: (inout ProtobufWriter) -> Void
    ) -> Data {
        var event = ProtobufWriter()
        event.double(field: 1, wallTime)
        event.varint(field: 2, step)
        event.message(field: 5, build)
        return event.data
    }
}
