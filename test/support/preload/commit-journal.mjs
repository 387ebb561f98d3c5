// Whatever this Pulse is about to commit is kept in the file COMMIT_JOURNAL first.
import { appendFileSync } from "node:fs";
import { serialize } from "node:v8";
import { Queries } from "../../../dist/src/store/queries.js";

const file = process.env.COMMIT_JOURNAL;
const { commit } = Queries.prototype;

Queries.prototype.commit = function commitAndTell(request) {
  const decide = (news) => {
    const commits = request.decide(news);
    // A line of its own even after one that a SIGKILL has cut in two.
    if (commits.length > 0) appendFileSync(file, `\n${serialize(commits).toString("base64")}\n`);
    return commits;
  };
  return commit.call(this, { ...request, decide });
};
