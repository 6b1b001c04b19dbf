import Foundation
import RetNetSystem

/// The memory of this process.
public enum ProcessMemory {
    /// Peak physical memory in bytes; 0 where the system does not report it.
    ///
    /// On Linux that of this program alone: the resource usage would also count memory from before the process became
    /// this program, which is the memory of its parent.
    public static var peakByteCount: Int {
        #if os(Linux)
            guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
                let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
                let kibibytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
                    .flatMap({ Int($0) })
            else { return 0 }
            return kibibytes * 1024
        #else
            return CurrentProcess.maximumResidentByteCount
        #endif
    }
}
