// The analytics dialect: authenticate, subscribe, receive. Node 20 with the `ws` package, or a browser.
const WebSocketClass = globalThis.WebSocket ?? (await import('ws')).WebSocket;

export class StreamingClient {
    constructor(url, token) {
        this.url = url;
        this.token = token;
        this.subscriptions = new Map();  // id -> {request, callback}
        this.waiting = [];               // what was sent before the server knew us
        this.ready = false;
        this.connect();
    }

    connect() {
        this.ws = new WebSocketClass(this.url);
        this.ws.onopen = () => this.ws.send(JSON.stringify({ type: 'auth', data: { token: this.token } }));
        this.ws.onmessage = (event) => this.handleMessage(JSON.parse(event.data));
        this.ws.onclose = (event) => console.log('Disconnected from streaming server', event.code);
        this.ws.onerror = (event) => console.error('Connection failed:', event.message ?? '');
    }

    /// The id is ours: the server echoes it, so what arrives under it finds its callback.
    subscribe(type, filters = {}, callback = () => {}) {
        const subscriptionId = crypto.randomUUID();
        this.subscriptions.set(subscriptionId, callback);
        this.send({ type: 'subscribe', subscription_id: subscriptionId, data: { type, filters } });
        return subscriptionId;
    }

    unsubscribe(subscriptionId) {
        this.send({ type: 'unsubscribe', data: { subscription_id: subscriptionId } });
        this.subscriptions.delete(subscriptionId);
    }

    /// Nothing is dropped: before authentication it waits.
    send(message) {
        if (this.ready) this.ws.send(JSON.stringify(message));
        else this.waiting.push(message);
    }

    handleMessage(message) {
        switch (message.type) {
            case 'auth_success':
                console.log('Authentication successful');
                this.ready = true;
                for (const waiting of this.waiting.splice(0)) this.send(waiting);
                break;
            case 'auth_failed':
                console.error('Authentication failed:', message.data.error);
                break;
            case 'subscribed':
                console.log('Subscribed:', message.data.type);
                break;
            case 'data':
                this.subscriptions.get(message.subscription_id)?.(message.data);
                break;
            case 'error':
                console.error('Server error:', message.data.error, message.data.detail ?? '');
                break;
        }
    }
}

const client = new StreamingClient(process.argv[2] ?? 'ws://localhost:8765', process.argv[3] ?? 'your-token');
client.subscribe('events', { event_type: 'user_action', 'payload.user_id': 'user123' }, (data) => console.log('Received data:', JSON.stringify(data)));
client.subscribe('metrics', {}, (data) => console.log('Received metrics:', JSON.stringify(data)));
