/// What the authors of AltUp (arXiv 2301.13310) state about their results.
///
/// The tables of the paper could not be read in any reliable text, so none of their numbers is here.
public enum AltUpPaper {
    /// By how much T5-Large with AltUp is faster than a dense model of the same accuracy, in percent.
    public static let speedUps = PublishedTable(
        title: "speed-up of T5-Large with AltUp over a dense T5 of the same accuracy, in percent",
        source: "Google Research blog on AltUp, November 2023", grade: .stated,
        columns: ["GLUE", "SuperGLUE", "SQuAD", "TriviaQA"],
        rows: [.init("T5-Large + AltUp", [27, 39, 87, 29])], decimals: 0)

    /// A sentence for the numbers that are not shown.
    public static let unread =
        "The numbers of the paper's tables are not shown: no text of them that could be checked was found."

    /// What is stated of AltUp.
    static let sameSpeed = "AltUp is better than dense models of the same speed at every size"
    /// What is stated of Recycled-AltUp.
    static let recycled =
        "Recycled-AltUp improves pretraining with as many parameters and no perceptible slowdown"
    /// What is stated of experts.
    static let experts = "AltUp and sparse experts widen different things, so that their gains add up"
}
