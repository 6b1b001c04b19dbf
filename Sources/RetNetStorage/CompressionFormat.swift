/// The wrapping of deflated data.
enum CompressionFormat {
    case gzip
    case zlib

    /// The value of zlib's `windowBits` that selects the format with the largest window.
    var windowBits: Int32 {
        switch self {
        case .gzip: return 16 + 15
        case .zlib: return 15
        }
    }
}
