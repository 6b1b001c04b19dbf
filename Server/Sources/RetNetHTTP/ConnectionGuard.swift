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
            try channel.pipeline.syncOperations.handler(type: ConnectionGuard.self).watch
        }.get()
    }
}

/// The handler of a connection that notices when its client has gone, and closes it when the client takes no data.
///
/// A client that only closes its sending side counts as gone, too: HTTP clients that wait for an answer do not do that.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny
    typealias OutboundIn = NIOAny
    typealias OutboundOut = NIOAny

    let watch = ConnectionWatch()
    private let timeout: TimeAmount
    /// Number of writes that have not reached the system, and the time of the last one that has.
    private var openWriteCount = 0
    private var lastProgress = NIODeadline.now()
    private var isTimed = false

    init(timeout: Duration) { self.timeout = TimeAmount(timeout) }

    func channelInactive(context: ChannelHandlerContext) {
        watch.close()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { watch.close() }
        context.fireUserInboundEventTriggered(event)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let promise = promise ?? context.eventLoop.makePromise()
        if openWriteCount == 0 { lastProgress = .now() }
        openWriteCount += 1
        promise.futureResult.assumeIsolated().whenComplete { _ in
            self.openWriteCount -= 1
            self.lastProgress = .now()
        }
        context.write(data, promise: promise)
        startTimer(context)
    }

    private func startTimer(_ context: ChannelHandlerContext) {
        guard !isTimed, openWriteCount > 0 else { return }
        isTimed = true
        context.eventLoop.assumeIsolated().scheduleTask(deadline: lastProgress + timeout) {
            self.isTimed = false
            guard self.openWriteCount > 0, context.channel.isActive else { return }
            if NIODeadline.now() >= self.lastProgress + self.timeout {
                context.close(promise: nil)
            } else {
                self.startTimer(context)
            }
        }
    }
}
