Feature: A host that stands still and comes back
  A virtual machine that its hypervisor suspends neither dies nor notices: when it goes on, its PostgreSQL still takes
  itself for the primary, until its agent has asked the DCS. The documents promise that there are never two primaries.

  # Refuted on the documented topology, which has no watchdog: between the thaw and the agent's next look at the DCS
  # sessions that were open before the freeze are answered as if nothing had been. A control, because this must be seen.
  @documented @control:single_writer
  @claim:NO-SPLIT-BRAIN @claim:RPO-5-ASYNC @claim:RECOVER-REWIND
  Scenario: The primary's host freezes until another node leads
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the host of the primary freezes
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes
