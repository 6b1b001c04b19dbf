/// A binary heap whose smallest element comes first: the pairs that tokenizers merge, the most urgent ones first.
struct PriorityHeap<Element: Comparable> {
    /// An element is not larger than those at twice its place plus 1 and 2.
    private var elements: [Element] = []

    mutating func removeAll(keepingCapacity keeps: Bool = false) {
        elements.removeAll(keepingCapacity: keeps)
    }

    mutating func insert(_ element: Element) {
        elements.append(element)
        var place = elements.count - 1
        while place > 0, element < elements[(place - 1) / 2] {
            elements[place] = elements[(place - 1) / 2]
            place = (place - 1) / 2
        }
        elements[place] = element
    }

    /// Removes and returns the smallest element; nil without elements.
    mutating func popFirst() -> Element? {
        guard let last = elements.popLast() else { return nil }
        guard let first = elements.first else { return last }
        var place = 0
        while true {
            var child = 2 * place + 1
            guard child < elements.count else { break }
            if child + 1 < elements.count, elements[child + 1] < elements[child] { child += 1 }
            guard elements[child] < last else { break }
            elements[place] = elements[child]
            place = child
        }
        elements[place] = last
        return first
    }
}
