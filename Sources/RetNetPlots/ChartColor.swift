/// A color with eight bits per channel.
public struct ChartColor: Sendable, Hashable {
    /// Red channel.
    public let red: UInt8
    /// Green channel.
    public let green: UInt8
    /// Blue channel.
    public let blue: UInt8

    /// Creates a color from its channels.
    public init(red: UInt8, green: UInt8, blue: UInt8) {
        self.red = red
        self.green = green
        self.blue = blue
    }

    /// Creates a color from a number such as `0x0072B2`.
    init(_ code: UInt32) {
        self.init(
            red: UInt8(code >> 16 & 0xFF), green: UInt8(code >> 8 & 0xFF), blue: UInt8(code & 0xFF))
    }

    /// The colors of Okabe and Ito, distinguishable with all kinds of color vision, in order of contrast with white.
    public static let palette = [
        ChartColor(0x0072B2), ChartColor(0xD55E00), ChartColor(0x009E73), ChartColor(0xCC79A7),
        ChartColor(0xE69F00), ChartColor(0x56B4E9), ChartColor(0x4D4D4D), ChartColor(0xF0E442),
    ]

    /// Returns the color of the series at `index`; the palette repeats.
    public static func series(_ index: Int) -> ChartColor {
        palette[Int(index.magnitude % UInt(palette.count))]
    }

    static let white = ChartColor(0xFFFFFF)
    static let title = ChartColor(0x1A1A1A)
    static let text = ChartColor(0x3D3D3D)
    static let mutedText = ChartColor(0x5C5C5C)
    static let axis = ChartColor(0x8C8C8C)
    static let grid = ChartColor(0xE4E4E4)
    static let faintGrid = ChartColor(0xF1F1F1)
    static let reference = ChartColor(0x707070)

    /// Color in the notation of SVG, for example `#0072B2`.
    var hex: String {
        let digits = Array("0123456789ABCDEF")
        return [red, green, blue].reduce(into: "#") { text, part in
            text.append(digits[Int(part >> 4)])
            text.append(digits[Int(part & 15)])
        }
    }

    /// Darker color for text, so that light series colors stay readable on white.
    var readable: ChartColor {
        let luminance = 0.299 * Double(red) + 0.587 * Double(green) + 0.114 * Double(blue)
        guard luminance > 140 else { return self }
        let factor = 140 / luminance
        return ChartColor(
            red: UInt8(Double(red) * factor), green: UInt8(Double(green) * factor),
            blue: UInt8(Double(blue) * factor))
    }
}
