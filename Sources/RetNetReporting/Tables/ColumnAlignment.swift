/// The side at which the cells of a table's column are lined up.
public enum ColumnAlignment: Sendable, Hashable {
    /// Text, lined up at its start.
    case left
    /// Numbers, lined up at their last digit.
    case right
    /// Right when every filled cell of the column starts like a number, left otherwise.
    case automatic
}
