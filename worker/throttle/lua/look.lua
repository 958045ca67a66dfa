-- What a sweep needs to know: how much is used, the pace, and which domains are full.
--
-- KEYS  1 epoch, 2 the account's full domains, 3 the task's pace, 4 log of the task,
--       5 log of the account, 6 as the last of acquire.lua
-- ARGV  1 generation, 2 window µs, 3 limit of a domain or 0, 4 prefix of the domains' logs
-- reply {"epoch"} | {"ok", now µs, pace TAT µs,
--        used by the task, its oldest entry µs or 0, used by the account, its oldest or 0,
--        the first moment µs at which a full domain may have room or 0, full domains…}

local run_id = string.match(redis.call("INFO", "server"), "run_id:(%w+)")
local history = string.match(redis.call("INFO", "replication"), "master_replid:(%w+)") or ""
if redis.call("GET", KEYS[1]) ~= ARGV[1] .. ":" .. run_id
    or redis.call("GET", KEYS[6]) ~= history then
  return { "epoch" }
end

local window, domain_limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local left = string.format("%.0f", now - window)

local function used(key)
  redis.call("ZREMRANGEBYSCORE", key, "-inf", left)
  return redis.call("ZCARD", key)
end

-- Redis itself writes a score with many zeros as 1.7e+15.
local function score_at(key, rank)
  return tonumber(redis.call("ZRANGE", key, rank, rank, "WITHSCORES")[2]) or 0
end

local full, first_free = {}, 0
for _, domain in ipairs(redis.call("SMEMBERS", KEYS[2])) do
  local key = ARGV[4] .. domain
  local over = used(key) + 1 - domain_limit
  if domain_limit > 0 and over > 0 then
    full[#full + 1] = domain
    local free_at = score_at(key, over - 1) + window
    if first_free == 0 or free_at < first_free then
      first_free = free_at
    end
  else
    redis.call("SREM", KEYS[2], domain) -- it has room again, or its limit was raised
  end
end

local reply = {
  "ok",
  string.format("%.0f", now),
  redis.call("GET", KEYS[3]) or "0",
  used(KEYS[4]),
  string.format("%.0f", score_at(KEYS[4], 0)),
  used(KEYS[5]),
  string.format("%.0f", score_at(KEYS[5], 0)),
  string.format("%.0f", first_free),
}
for _, domain in ipairs(full) do
  reply[#reply + 1] = domain
end
return reply
