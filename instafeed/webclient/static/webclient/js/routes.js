// The screens by path. The server has the same list (webclient/urls.py).

import { lazy } from "./core/lazy.js";
import { Explore } from "./screens/explore.js";
import { Feed } from "./screens/feed.js";
import { NotFound } from "./screens/not_found.js";
import { Notifications } from "./screens/notifications.js";
import { PostPage } from "./screens/post_page.js";
import { Profile } from "./screens/profile.js";
import { Saved } from "./screens/saved.js";
import { Search } from "./screens/search.js";
import { SignIn } from "./screens/sign_in.js";
import { Tag } from "./screens/tag.js";
import { UserList } from "./screens/user_list.js";

// Loaded when they are opened first.
const { ForgotPassword, ResetPassword, VerifyEmail } = lazy(() => import("./screens/mail_links.js"));
const { NewPost } = lazy(() => import("./screens/new_post.js"));
const { Register } = lazy(() => import("./screens/register.js"));
const { Settings } = lazy(() => import("./screens/settings.js"));

// `public`: also for visitors who are not signed in.
const ROUTES = [
  ["/", Feed],
  ["/explore", Explore],
  ["/search", Search],
  ["/notifications", Notifications],
  ["/saved", Saved],
  ["/new", NewPost],
  ["/settings", Settings],
  ["/settings/:section", Settings],
  ["/tags/:tag", Tag],
  ["/p/:id", PostPage, "public"],
  ["/@:username", Profile, "public"],
  ["/@:username/:list(followers|following)", UserList],
  ["/login", SignIn, "public"],
  ["/register", Register, "public"],
  ["/verify-email", VerifyEmail, "public"],
  ["/forgot-password", ForgotPassword, "public"],
  ["/reset-password", ResetPassword, "public"],
].map(([pattern, screen, access]) => ({ expression: compile(pattern), screen, isPublic: access === "public" }));

function compile(pattern) {
  const source = pattern.replace(/:(\w+)(\(([^)]+)\))?/g, (_, name, __, values) => `(?<${name}>${values ?? "[^/]+"})`);
  return new RegExp(`^${source}$`);
}

/** Return {screen, params, isPublic} for a path. */
export function findScreen(path) {
  for (const { expression, screen, isPublic } of ROUTES) {
    const found = expression.exec(path);
    if (found) return { screen, params: decodeAll(found.groups ?? {}), isPublic };
  }
  return { screen: NotFound, params: {}, isPublic: true };
}

export const isClientPath = (path) => findScreen(path).screen !== NotFound;

function decodeAll(groups) {
  try {
    return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    return groups; // not percent-encoded UTF-8: nothing is found under it
  }
}
