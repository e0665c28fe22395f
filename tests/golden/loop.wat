(func $region_10000 (param $pc i32) (param $depth i32) (param $fuel i32) (result i32 i32)
  (local $slot10 i64) (local $slot5 i64) (local $slot12 i64) (local $slot6 i64) (local $slot11 i64) (local $slot13 i64) (local $slot14 i64) (local $base0 i32) (local $address i64) (local $base1 i32)
  block ;; @1
    block (result i32) ;; @2
      i32.const 0
      i64.load offset=80
      local.set $slot10
      i32.const 0
      i64.load offset=40
      local.set $slot5
      i32.const 0
      i64.load offset=96
      local.set $slot12
      i32.const 0
      i64.load offset=48
      local.set $slot6
      i32.const 0
      i64.load offset=88
      local.set $slot11
      i32.const 0
      i64.load offset=104
      local.set $slot13
      i32.const 0
      i64.load offset=112
      local.set $slot14
      loop ;; @3
        local.get $fuel
        i32.const 6
        i32.sub
        local.set $fuel
        local.get $slot10
        local.tee $address
        i32.const 0
        i64.load offset=1277968
        i64.sub
        i32.const 0
        i64.load offset=1277976
        i64.ge_u
        if ;; @4
          local.get $address
          i32.const 1277968
          i32.const 8
          i32.const 1
          i32.const 8
          call $reach
          i32.eqz
          if ;; @5
            i32.const -2
            br 3 (;@2;)
          end
        end
        local.get $address
        i32.wrap_i64
        local.set $base0
        local.get $base0
        i64.load offset=67108864
        local.set $slot5
        local.get $slot10
        i64.const 8
        i64.add
        local.set $slot10
        local.get $slot5
        local.get $slot12
        call $mulhu
        local.set $slot6
        local.get $slot11
        local.get $slot6
        i64.add
        local.set $slot11
        local.get $slot13
        i64.const 3
        i64.add
        local.tee $address
        i32.const 0
        i64.load offset=1277968
        i64.sub
        i32.const 0
        i64.load offset=1277976
        i64.ge_u
        if ;; @4
          local.get $address
          i32.const 1277968
          i32.const 1
          i32.const 2
          i32.const 8
          call $reach
          i32.eqz
          if ;; @5
            i32.const -3
            br 3 (;@2;)
          end
        end
        local.get $address
        i32.wrap_i64
        local.set $base1
        local.get $base1
        local.get $slot11
        i64.store8 offset=67108864
        local.get $slot10
        local.get $slot14
        i64.ne
        if ;; @4
          local.get $fuel
          i32.const 0
          i32.lt_s
          if ;; @5
            i32.const 65536
            br 3 (;@2;)
          end
          br 1 (;@3;)
        else
          local.get $fuel
          i32.const 1
          i32.sub
          local.set $fuel
          i32.const -4
          br 2 (;@2;)
        end
        unreachable
      end
      unreachable
    end
    local.set $pc
    i32.const 0
    local.get $slot10
    i64.store offset=80
    i32.const 0
    local.get $slot5
    i64.store offset=40
    i32.const 0
    local.get $slot6
    i64.store offset=48
    i32.const 0
    local.get $slot11
    i64.store offset=88
    br 0 (;@1;)
  end
  local.get $pc
  local.get $fuel)
;; exit -2: 10000, 6 not executed: memory
;; exit -3: 10010, 2 not executed: memory
;; exit -4: 10018, 1 not executed: trap
