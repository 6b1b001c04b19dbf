#if os(iOS)
    import SwiftUI

    /// The app: one story, one button.
    @main
    struct StoryApp: App {
        @State private var session = StorySession()
        @Environment(\.scenePhase) private var phase

        var body: some Scene {
            WindowGroup { StoryScreen(session: session) }
                .onChange(of: phase) {
                    // The state of the story outlives the app.
                    if phase != .active { session.save() }
                }
        }
    }

    /// The story on the screen and the teller behind it.
    @MainActor @Observable
    final class StorySession {
        private(set) var story = ""
        private(set) var problem: String?
        private(set) var isTelling = false
        private var teller: Storyteller?

        func open() async {
            guard teller == nil else { return }
            do {
                let teller = try Storyteller.bundled()
                self.teller = teller
                story = await teller.story
            } catch { problem = "\(error)" }
        }

        func tell(_ text: String) async {
            guard let teller, !isTelling else { return }
            isTelling = true
            let begin = text.isEmpty && story.isEmpty ? "Once upon a time" : text
            story += begin
            let (pieces, sink) = AsyncStream.makeStream(of: String.self)
            let task = Task.detached {
                defer { sink.finish() }
                try await teller.tell(begin) { sink.yield($0) }
            }
            for await piece in pieces { story += piece }
            do { try await task.value } catch { problem = "\(error)" }
            isTelling = false
        }

        func forget() async {
            await teller?.forget()
            story = ""
        }

        func save() {
            guard let teller else { return }
            Task { do { try await teller.save() } catch { problem = "\(error)" } }
        }
    }

    /// The text, a field for what comes next, and the button that lets the model go on.
    struct StoryScreen: View {
        let session: StorySession
        @State private var text = ""

        var body: some View {
            VStack {
                ScrollView { Text(session.story).frame(maxWidth: .infinity, alignment: .leading) }
                if let problem = session.problem { Text(problem).foregroundStyle(.red) }
                TextField("What happens next?", text: $text)
                HStack {
                    Button("New story") { Task { await session.forget() } }
                    Spacer()
                    Button("Go on") {
                        let next = text.isEmpty ? "" : " " + text
                        text = ""
                        Task { await session.tell(next) }
                    }
                }
                .disabled(session.isTelling)
            }
            .padding()
            .task { await session.open() }
        }
    }
#endif
