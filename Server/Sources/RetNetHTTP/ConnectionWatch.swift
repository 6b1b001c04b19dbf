import Foundation
import NIOCore

/// Says when the client of a connection has gone.
final class ConnectionWatch: @unchecked Sendable {
    // Sendable: everything is read and written under the lock.
    private let lock = NSLock()
    private var isClosed = false
    private var actions: [Int: @Sendable () -> Void] = [:]
    private var nextNumber = 0

    /// Does something when the client goes, at once if it has gone; returns what ``remove(_:)`` takes.
    func onClose(_ action: @escaping @Sendable () -> Void) -> Int {
        let number: Int? = lock.withLock {
            guard !isClosed else { return nil }
            nextNumber += 1
            actions[nextNumber] = action
            return nextNumber
        }
        if let number { return number }
        action()
        return 0
    }

    func remove(_ number: Int) { _ = lock.withLock { actions.removeValue(forKey: number) } }

    func close() {
        let actions = lock.withLock {
            isClosed = true
            defer { self.actions = [:] }
            return Array(self.actions.values)
        }
        for action in actions { action() }
    }

    /// Returns the watch of a connection; nil if it has none any more.
    static func of(_ channel: any Channel) async -> ConnectionWatch? {
        try? await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: DisconnectHandler.self).watch
        }.get()
    }
}

/// The handler of a connection that notices when the client closes its side or the connection is lost.
///
/// A client that only closes its sending side counts as gone, too: HTTP clients that wait for an answer do not do that.
final class DisconnectHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    let watch = ConnectionWatch()

    func channelInactive(context: ChannelHandlerContext) {
        watch.close()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { watch.close() }
        context.fireUserInboundEventTriggered(event)
    }
}
