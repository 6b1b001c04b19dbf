import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension StorageError {
    /// The system's text for an `errno` code, with the code itself.
    static func errnoText(_ code: Int32) -> String {
        guard let text = strerror(code) else { return "errno \(code)" }
        return "\(String(cString: text)) (errno \(code))"
    }

    /// What to do about an `errno` code, with a leading space, or nothing.
    static func advice(_ code: Int32) -> String {
        switch code {
        case EACCES, EPERM:
            return " Check its permissions and those of the folders above it."
        case ENOENT:
            return " Check that the path and the folder above it exist."
        case EROFS:
            return " The disk is read-only: choose another one."
        case EMFILE, ENFILE:
            return " Too many files are open: close some or raise the limit (ulimit -n)."
        case ENAMETOOLONG:
            return " Choose a shorter name."
        case ENOTEMPTY, EEXIST:
            return " Remove what is there or choose another path."
        case ENOSPC, EDQUOT:
            return " Free some space or choose another disk."
        case EIO:
            return " The disk may be failing: check it and copy the data elsewhere."
        case ENOMEM:
            return " Free some memory or raise the limit (ulimit -v)."
        default:
            return " Check the path and the disk."
        }
    }

    /// The error for a failed system call on `path`, with the common causes told apart.
    static func fromErrno(_ code: Int32, action: String, path: String) -> StorageError {
        switch code {
        case ENOENT where action == "open":
            return .notFound(path: path)
        case EISDIR:
            return .isFolder(path: path)
        default:
            return .system(action: action, path: path, code: code)
        }
    }

    /// Whether an `errno` code means that no room is left on the disk or in the quota.
    static func meansNoSpace(_ code: Int32) -> Bool {
        code == ENOSPC || code == EDQUOT
    }
}
