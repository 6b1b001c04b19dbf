import Foundation

#if canImport(Darwin)
    import MachO
#endif

/// The shared libraries of this process.
enum LoadedLibrary {
    /// The path of the first loaded library whose path contains the text.
    static func path(containing text: String) -> String? {
        #if canImport(Darwin)
            for index in 0..<_dyld_image_count() {
                guard let name = _dyld_get_image_name(index) else { continue }
                let path = String(cString: name)
                if path.contains(text) { return path }
            }
            return nil
        #else
            guard let data = FileManager.default.contents(atPath: "/proc/self/maps") else { return nil }
            for line in String(decoding: data, as: UTF8.self).split(separator: "\n") where line.contains(text)
            {
                if let start = line.firstIndex(of: "/") { return String(line[start...]) }
            }
            return nil
        #endif
    }
}
