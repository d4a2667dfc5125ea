export { WeirClient } from "./client.js";
export type { ClientOptions, ConnectionState, Subscription, SubscribeOptions, SocketLike } from "./client.js";
export { Backoff } from "./backoff.js";
export { Positions } from "./positions.js";
export type { Clock } from "./clock.js";
export type { Delivery, Gap, Position, PositionMap, ServerError, Since, SubscriptionType } from "./messages.js";
