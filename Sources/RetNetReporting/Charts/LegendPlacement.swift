/// The place where a chart names its series.
public enum LegendPlacement: Sendable, Hashable {
    /// At the ends of the lines where all fit there, otherwise above the plot; nothing for a lone series.
    case automatic
    /// Above the plot.
    case top
    /// At the right ends of the lines; charts without lines use the top.
    case lineEnds
    /// Nowhere.
    case none
}
