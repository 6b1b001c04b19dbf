import Testing

@testable import RetNetReporting

@Suite("Format")
struct FormatTests {
    @Test("Byte counts get binary units")
    func bytes() {
        #expect(Format.bytes(0) == "0 B")
        #expect(Format.bytes(1023) == "1023 B")
        #expect(Format.bytes(1024) == "1 KiB")
        #expect(Format.bytes(1536) == "1.5 KiB")
        #expect(Format.bytes(3_328_599_654) == "3.1 GiB")
        #expect(Format.bytes(512 << 20) == "512 MiB")
        #expect(Format.bytes(-2048) == "-2 KiB")
        #expect(Format.bytes(1_048_575) == "1 MiB")
        #expect(Format.bytes(Int.max) == "8 EiB")
        #expect(Format.bytes(Double.nan) == "nan")
    }

    @Test("Counts get decimal suffixes and carry into the next one")
    func counts() {
        #expect(Format.count(0) == "0")
        #expect(Format.count(7) == "7")
        #expect(Format.count(999) == "999")
        #expect(Format.count(12_345) == "12.3k")
        #expect(Format.count(1_350_000_000) == "1.35B")
        #expect(Format.count(999_950) == "1M")
        #expect(Format.count(1_000_000_000_000) == "1T")
        #expect(Format.count(-12_345) == "-12.3k")
        #expect(Format.count(0.25) == "0.25")
        #expect(Format.count(1e30) == "1.00e+30")
        #expect(Format.count(-Double.infinity) == "-inf")
    }

    @Test("Integers are grouped by thousands")
    func grouped() {
        #expect(Format.grouped(0) == "0")
        #expect(Format.grouped(999) == "999")
        #expect(Format.grouped(1000) == "1,000")
        #expect(Format.grouped(-1_234_567) == "-1,234,567")
        #expect(Format.grouped(Int.min) == "-9,223,372,036,854,775,808")
    }

    @Test("Numbers keep their significant digits")
    func numbers() {
        #expect(Format.number(1.23456) == "1.235")
        #expect(Format.number(12.3456) == "12.35")
        #expect(Format.number(0.012345) == "0.01235")
        #expect(Format.number(0.0003, significantDigits: 3) == "3.00e-04")
        #expect(Format.number(123_456_789) == "1.235e+08")
        #expect(Format.number(0) == "0.000")
        #expect(Format.number(.nan) == "nan")
        #expect(Format.fixed(-0.001, decimals: 2) == "0.00")
        #expect(Format.percent(0.42) == "42.0%")
    }

    @Test("Durations are written with units and as clocks")
    func durations() {
        #expect(Format.duration(seconds: 0) == "0 s")
        #expect(Format.duration(seconds: 0.000_25) == "250 us")
        #expect(Format.duration(seconds: 0.85) == "850 ms")
        #expect(Format.duration(seconds: 12.34) == "12.3 s")
        #expect(Format.duration(seconds: 59.97) == "1 min 00 s")
        #expect(Format.duration(seconds: 245) == "4 min 05 s")
        #expect(Format.duration(seconds: 7380) == "2 h 03 min")
        #expect(Format.duration(seconds: 273_600) == "3 d 04 h")
        #expect(Format.duration(seconds: 1e300).hasSuffix("h"))
        #expect(Format.clock(seconds: 723) == "12:03")
        #expect(Format.clock(seconds: 3723) == "1:02:03")
        #expect(Format.clock(seconds: 183_845) == "2d 03:04:05")
        #expect(Format.clock(seconds: .nan) == "--:--")
        #expect(Format.clock(seconds: -5) == "00:00")
    }

    @Test("Wide and combining characters are measured in columns")
    func displayWidth() {
        #expect(DisplayWidth.of("abc") == 3)
        #expect(DisplayWidth.of("\u{6F22}\u{5B57}") == 4)
        #expect(DisplayWidth.of("e\u{301}") == 1)
        #expect(DisplayWidth.truncate("\u{6F22}\u{5B57}", to: 3) == "\u{6F22}")
    }
}
