import RetNetSystem

/// A request to stop at the next opportunity, raised by a signal or by the program.
public final class InterruptFlag: @unchecked Sendable {
    // Sendable: one machine word that only ever goes from 0 to 1.
    private let word: UnsafeMutablePointer<CInt>
    private let isOwner: Bool

    /// A flag that only ``raise()`` raises.
    public init() {
        word = .allocate(capacity: 1)
        word.initialize(to: 0)
        isOwner = true
    }

    private init(signalWord: UnsafeMutablePointer<CInt>) {
        word = signalWord
        isOwner = false
    }

    deinit {
        if isOwner { word.deallocate() }
    }

    /// Returns the flag that SIGINT (Ctrl-C) and SIGTERM raise from now on.
    ///
    /// Only the first signal is caught: a second one has its default effect and ends the process at once. All
    /// flags made here are one.
    public static func onSignals() -> InterruptFlag {
        SignalWord.pointer.pointee = 0
        let flag = InterruptFlag(signalWord: SignalWord.pointer)
        TerminationSignals.handle { _ in
            SignalWord.pointer.pointee = 1
            TerminationSignals.restoreDefaults()
        }
        unblockSignals()
        return flag
    }

    /// Unblocks SIGINT and SIGTERM in this thread and those it starts.
    ///
    /// A parent may have started the process from a thread that blocks signals, and the mask is inherited.
    public static func unblockSignals() { TerminationSignals.unblock() }

    /// True if a stop was requested.
    public var isRaised: Bool { word.pointee != 0 }

    /// Requests a stop.
    public func raise() { word.pointee = 1 }
}

/// The word that the signal handler writes, in global memory because a handler can reach nothing else.
private enum SignalWord {
    nonisolated(unsafe) static let pointer: UnsafeMutablePointer<CInt> = {
        let pointer = UnsafeMutablePointer<CInt>.allocate(capacity: 1)
        pointer.initialize(to: 0)
        return pointer
    }()
}
