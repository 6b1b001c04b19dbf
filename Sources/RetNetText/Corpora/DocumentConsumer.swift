/// Takes the text of documents, piece by piece.
protocol DocumentConsumer: AnyObject {
    /// The next piece of the document, valid only during the call.
    func consume(_ bytes: UnsafeRawBufferPointer) throws
    /// The document is complete; without text before it there is none.
    func endDocument() throws
}
