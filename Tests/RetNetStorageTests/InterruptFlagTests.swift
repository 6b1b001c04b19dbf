import Foundation
import RetNetStorage
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@Suite struct InterruptFlagTests {
    @Test func `A flag is down until it is raised and stays up`() {
        let flag = InterruptFlag()
        #expect(!flag.isRaised)
        flag.raise()
        flag.raise()
        #expect(flag.isRaised)
        #expect(!InterruptFlag().isRaised)
    }

    @Test func `The first signal raises the flag instead of ending the process`() {
        let flag = InterruptFlag.onSignals()
        #expect(!flag.isRaised)
        kill(getpid(), SIGTERM)
        // Another thread may be the one that gets it.
        for _ in 0..<1000 where !flag.isRaised { usleep(10_000) }
        #expect(flag.isRaised)
    }
}
