-- Grant one permit under every budget of a message, or under none. Atomic; asking twice is the same.
--
-- KEYS[1]  epoch: "<generation>:<run id>", absent after a loss
-- KEYS[2]  the account's full domains: a set
-- KEYS[3]  the task's pace: theoretical arrival time, µs since the epoch; absent means idle
-- KEYS[4+] one log for each budget, the task's first: sorted set, a member for each unit of cost,
--          score = µs
-- the last key: whose changes the server had when the log was filled. A master that was a replica
--          meanwhile has its own epoch back from the one that it copied, and may lack permits
-- ARGV     1 generation, 2 permit id, 3 window µs, 4 longest hand-over µs,
--          5 pace interval µs, 6 pace burst, 7 whether the pace binds (0, 1),
--          then for each budget: limit, cost, the domain or ""
-- reply    {"granted"} | {"epoch"} | {"pace", until µs} | {"full", number of the budget, until µs}
--
-- µs since 1970 stay below 2^53 until the year 2255, so a double holds them. They are written with
-- %.0f, since tostring() of Lua 5.1 would lose the last digits.

local run_id = string.match(redis.call("INFO", "server"), "run_id:(%w+)")
local history = string.match(redis.call("INFO", "replication"), "master_replid:(%w+)") or ""
if redis.call("GET", KEYS[1]) ~= ARGV[1] .. ":" .. run_id
    or redis.call("GET", KEYS[#KEYS]) ~= history then
  return { "epoch" }
end

local permit, window, handover_max = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local interval, burst, binds = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == "1"
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local keep_ms = math.ceil((window + handover_max) / 1000)

local function budget(k)
  local a = 7 + 3 * (k - 4)
  return tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), ARGV[a + 3]
end

local function mark_full(domain)
  redis.call("SADD", KEYS[2], domain)
  redis.call("PEXPIRE", KEYS[2], keep_ms)
end

-- A closed window would count an entry on both its edges: out goes what is a whole window old.
local left = string.format("%.0f", now - window)
local lacking, full, free_at = {}, nil, 0
for k = 4, #KEYS - 1 do
  redis.call("ZREMRANGEBYSCORE", KEYS[k], "-inf", left)
  -- Where the permit is in the log already, the answer to an earlier asking was lost.
  if not redis.call("ZSCORE", KEYS[k], permit .. ".1") then
    lacking[#lacking + 1] = k
    local limit, cost, domain = budget(k)
    local used = redis.call("ZCARD", KEYS[k])
    if domain ~= "" and used >= limit then
      mark_full(domain)
    end
    local over = used + cost - limit
    if over > 0 then
      local entry = redis.call("ZRANGE", KEYS[k], over - 1, over - 1, "WITHSCORES")
      -- A limit below the cost never fits; look again in a window's time.
      local free = (tonumber(entry[2]) or now) + window
      if free > free_at then
        full, free_at = k - 3, free
      end
    end
  end
end
if #lacking == 0 then
  return { "granted" }
elseif full then
  return { "full", full, string.format("%.0f", free_at) }
end

if lacking[1] == 4 then
  local _, cost = budget(4)
  local tat = tonumber(redis.call("GET", KEYS[3]) or 0)
  local next_tat = math.max(tat, now) + cost * interval
  local allow_at = next_tat - math.max(burst, cost) * interval
  if binds and now < allow_at then
    return { "pace", string.format("%.0f", allow_at) }
  end
  local idle_ms = math.ceil((next_tat - now) / 1000)
  redis.call("SET", KEYS[3], string.format("%.0f", next_tat), "PX", idle_ms)
end

-- Not answered yet, so it must not start to age before its latest possible answer.
local score = string.format("%.0f", now + handover_max)
for _, k in ipairs(lacking) do
  local limit, cost, domain = budget(k)
  for unit = 1, cost do
    redis.call("ZADD", KEYS[k], score, permit .. "." .. unit)
  end
  redis.call("PEXPIRE", KEYS[k], keep_ms)
  if domain ~= "" and redis.call("ZCARD", KEYS[k]) >= limit then
    mark_full(domain)
  end
end
return { "granted" }
