/// A file of the page at `/`.
public struct PageFile: Sendable {
    /// The type for `Content-Type`.
    public let type: String
    /// The contents.
    public let bytes: [UInt8]
    /// The value for `ETag`: equal for equal contents.
    public let tag: String

    private init(_ type: String, _ bytes: [UInt8]) {
        (self.type, self.bytes) = (type, bytes)
        // FNV-1a: tells versions of one file apart, which is all that a browser needs.
        let hash = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        tag = "\"" + String(hash, radix: 16) + "\""
    }

    /// The document.
    public static let index = PageFile("text/html; charset=utf-8", PackageResources.index_html)

    private static func script(_ bytes: [UInt8]) -> PageFile {
        PageFile("text/javascript; charset=utf-8", bytes)
    }
    private static func style(_ bytes: [UInt8]) -> PageFile { PageFile("text/css; charset=utf-8", bytes) }

    /// The files below `/page` by their names.
    public static let parts: [String: PageFile] = [
        "icon.svg": PageFile("image/svg+xml", PackageResources.icon_svg),
        "base.css": style(PackageResources.base_css),
        "layout.css": style(PackageResources.layout_css),
        "parts.css": style(PackageResources.parts_css),
        "theme.js": script(PackageResources.theme_js),
        "main.js": script(PackageResources.main_js),
        "api.js": script(PackageResources.api_js),
        "branches.js": script(PackageResources.branches_js),
        "conversation.js": script(PackageResources.conversation_js),
        "dom.js": script(PackageResources.dom_js),
        "format.js": script(PackageResources.format_js),
        "generation.js": script(PackageResources.generation_js),
        "markdown.js": script(PackageResources.markdown_js),
        "memory.js": script(PackageResources.memory_js),
        "panels.js": script(PackageResources.panels_js),
        "parameters.js": script(PackageResources.parameters_js),
        "states.js": script(PackageResources.states_js),
        "storage.js": script(PackageResources.storage_js),
        "transcript.js": script(PackageResources.transcript_js),
    ]
}
