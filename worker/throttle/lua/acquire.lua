-- Grant one permit under every budget of a message, or under none. Atomic; asking twice is the same.
--
-- KEYS[1]  epoch: "<generation>:<run id>", absent after a loss
-- KEYS[2]  full domains of the account: sorted set, score = until when, µs
-- KEYS[3]  the task's pace: theoretical arrival time, µs since the epoch; absent means idle
-- KEYS[4+] one log for each budget: sorted set, a member for each unit of cost, score = µs
-- ARGV     1 generation, 2 permit id, 3 window µs, 4 longest hand-over µs,
--          5 pace interval µs, 6 pace burst, 7 pace cost, 8 whether the pace binds (0, 1),
--          then for each budget: limit, cost, the domain or ""
-- reply    {"granted"} | {"epoch"} | {"pace", until µs} | {"full", number of the budget, until µs}
--
-- µs since 1970 stay below 2^53 until the year 2255, so a double holds them. They are written with
-- %.0f, since tostring() of Lua 5.1 would lose the last digits.

local function run_id()
  return string.match(redis.call("INFO", "server"), "run_id:(%w+)")
end

if redis.call("GET", KEYS[1]) ~= ARGV[1] .. ":" .. run_id() then
  return { "epoch" }
end

local permit, window, handover_max = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local interval, burst, paced_cost = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

if redis.call("ZSCORE", KEYS[4], permit .. ".1") then
  return { "granted" } -- the answer to the first asking was lost
end

-- A closed window would count an entry on both its edges: out goes what is a whole window old.
local oldest = string.format("%.0f", now - window)
for k = 4, #KEYS do
  local a = 8 + 3 * (k - 4)
  local limit, cost, domain = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), ARGV[a + 3]
  redis.call("ZREMRANGEBYSCORE", KEYS[k], "-inf", oldest)
  local over = redis.call("ZCARD", KEYS[k]) + cost - limit
  if over > 0 then
    local entry = redis.call("ZRANGE", KEYS[k], over - 1, over - 1, "WITHSCORES")
    -- A limit below the cost never fits; look again in a window's time.
    local free_at = (tonumber(entry[2]) or now) + window
    if domain ~= "" then
      redis.call("ZADD", KEYS[2], string.format("%.0f", free_at), domain)
    end
    return { "full", k - 3, string.format("%.0f", free_at) }
  end
end

local tat = tonumber(redis.call("GET", KEYS[3]) or 0)
local next_tat = math.max(tat, now) + paced_cost * interval
local allow_at = next_tat - math.max(burst, paced_cost) * interval
if ARGV[8] == "1" and now < allow_at then
  return { "pace", string.format("%.0f", allow_at) }
end
redis.call("SET", KEYS[3], string.format("%.0f", next_tat), "PX", math.ceil((next_tat - now) / 1000))

local score = string.format("%.0f", now + handover_max)
local keep_ms = math.ceil((window + handover_max) / 1000)
for k = 4, #KEYS do
  local a = 8 + 3 * (k - 4)
  local limit, cost, domain = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), ARGV[a + 3]
  for unit = 1, cost do
    redis.call("ZADD", KEYS[k], score, permit .. "." .. unit)
  end
  redis.call("PEXPIRE", KEYS[k], keep_ms)
  if domain ~= "" and redis.call("ZCARD", KEYS[k]) >= limit then
    redis.call("ZADD", KEYS[2], score, domain)
    redis.call("PEXPIRE", KEYS[2], keep_ms)
  end
end
return { "granted" }
