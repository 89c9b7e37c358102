// What a policy or hook in JavaScript imports from "sluice", and the events that it is asked about.

declare module "sluice" {
  /** Yes. A hook stores event.after as it is by then, changes included. `true` says the same. */
  export function allow(): Allow;

  /**
   * No, with a reason. A plain `false` is a no without one. It can also be thrown, from wherever the answer is known.
   * @param code 1 to 64 of a-z, 0-9, _ and . — stable, for programs
   * @param message for people, shown to the caller as it is; at most 500 bytes
   */
  export function deny(code: string, message?: string, options?: { status?: number }): Deny;

  /** Yes, but store this document instead. Members that it shares with event.after keep their place. */
  export function rewrite<D extends object>(document: D): Rewrite;

  /** The document with this `_id`, or null. The manifest must grant reading its collection. */
  export function get<D = Document>(collection: string, id: string): D | null;

  /** The documents that a query finds, newest first unless it says otherwise, 100 unless it says otherwise. */
  export function find<D = Document>(collection: string, query?: Query): D[];

  /** How many documents a query finds. */
  export function count(collection: string, query?: Predicate): number;

  /** The `config` of the manifest. It can be read while the script loads. */
  export function config<C = Record<string, any>>(): C;

  type Allow = true;
  interface Deny { readonly _deny: unique symbol }
  interface Rewrite { readonly _rewrite: unique symbol }

  /** What a policy, or a hook before a delete, answers. */
  export type Verdict = boolean | Deny | Promise<boolean | Deny>;
  /** What a policy may also answer about a page of documents: for each of them, whether the caller may see it. */
  export type PageVerdict = Verdict | boolean[] | Promise<boolean[]>;
  /** What a hook before an insert, an update or a sign-up answers. */
  export type Change = boolean | Deny | Rewrite | Promise<boolean | Deny | Rewrite>;

  export type Document = Record<string, any>;

  export interface Caller {
    /** The kind of key that the caller holds. */
    readonly role: "publishable" | "secret";
    /** The user who is logged in. */
    readonly userId: string | null;
    /** Further claims of the user's token. */
    readonly claims: Record<string, any>;
  }

  interface Base {
    readonly v: 1;
    readonly collection: string;
    readonly caller: Caller;
    /** Milliseconds since 1970: the time of the request. Date.now() is the same. */
    readonly now: number;
    /** Names the request in logs. */
    readonly requestId: string;
    readonly documents?: undefined;
  }

  /** export function beforeInsert(event) */
  export interface BeforeInsert<D = Document> extends Base { readonly event: "beforeInsert"; readonly op: "insert"; readonly before: null; readonly after: D }
  /** export function beforeUpdate(event) */
  export interface BeforeUpdate<D = Document> extends Base { readonly event: "beforeUpdate"; readonly op: "update"; readonly before: D; readonly after: D }
  /** export function beforeDelete(event) */
  export interface BeforeDelete<D = Document> extends Base { readonly event: "beforeDelete"; readonly op: "delete"; readonly before: D; readonly after: null }
  /** export function beforeSignup(event): after is the profile of the new account */
  export interface BeforeSignup<D = Document> extends Base { readonly event: "beforeSignup"; readonly op: "signup"; readonly before: null; readonly after: D }
  /** export function claims(event): before is the user's profile; answer with an object for the access token */
  export interface Claims<D = Document> extends Base { readonly event: "claims"; readonly op: "claims"; readonly before: D; readonly after: null }
  /** export function beforeUpload(event): after is what is known of a file before its bytes come */
  export interface BeforeUpload extends Base {
    readonly event: "beforeUpload";
    readonly op: "upload";
    readonly before: null;
    readonly after: { readonly name: string; readonly contentType: string; readonly size: number; readonly visibility: "public" | "private" };
  }
  /** export function filter(event): asked once for each list; answer with a predicate for what the caller may find */
  export interface Filter extends Base { readonly event: "filter"; readonly op: "filter"; readonly before: null; readonly after: null }
  /** export function policy(event) */
  export type Policy<D = Document> =
    | (Base & { readonly event: "policy"; readonly op: "insert"; readonly before: null; readonly after: D })
    | (Base & { readonly event: "policy"; readonly op: "update"; readonly before: D; readonly after: D })
    | (Base & { readonly event: "policy"; readonly op: "delete"; readonly before: D; readonly after: null })
    | (Omit<Base, "documents"> & { readonly event: "policy"; readonly op: "read"; readonly before: null; readonly after: null; readonly documents: D[] });

  type Scalar = string | number | boolean | null;
  type Condition = Scalar | {
    eq?: Scalar; ne?: Scalar; in?: Scalar[]; has?: Scalar; exists?: boolean;
    gt?: string | number; gte?: string | number; lt?: string | number; lte?: string | number;
  };
  /** Fields, or paths such as "meta.likes", and what must hold of each. */
  export type Conditions = Record<string, Condition>;
  /** All of where must hold, and all of one of any. */
  export interface Predicate { where?: Conditions; any?: Conditions[] }
  export interface Query extends Predicate { /** A field, or "-" and a field for descending. */ sort?: string; /** 1 to 1000. */ limit?: number }
}

/** Writes a line to the project's log. */
declare const console: Record<"debug" | "log" | "info" | "warn" | "error", (...values: unknown[]) => void>;
