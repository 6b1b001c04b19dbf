/// Returns the text of the error of a type that `body` throws, for expectations of what it says.
///
/// If it throws nothing, or an error of another type, the text says so in words that no error has.
public func errorText<E: Error, R>(_ type: E.Type, of body: () throws -> R) -> String {
    do {
        _ = try body()
        return "(nothing was thrown)"
    } catch let error as E {
        return "\(error)"
    } catch {
        return "(another error was thrown: \(error))"
    }
}
