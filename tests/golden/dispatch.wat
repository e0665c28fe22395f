(func $region_10000 (param $pc i32) (param $depth i32) (param $fuel i32) (result i32 i32)
  (local $slot10 i64) (local $slot11 i64) (local $slot12 i64) (local $slot13 i64) (local $slot1 i64) (local $dispatch i32) (local $address i64) (local $index i32)
  block ;; @1
    block (result i32) ;; @2
      block (result i32) ;; @3
        block (result i32) ;; @4
          i32.const 0
          i64.load offset=80
          local.set $slot10
          i32.const 0
          i64.load offset=88
          local.set $slot11
          i32.const 0
          i64.load offset=96
          local.set $slot12
          i32.const 0
          i64.load offset=104
          local.set $slot13
          i32.const 0
          i64.load offset=8
          local.set $slot1
          block ;; @5
            local.get $fuel
            i32.const 1
            i32.sub
            local.set $fuel
            local.get $slot10
            i64.const 0
            i64.eq
            if ;; @6
              i32.const 0
              local.set $dispatch
              br 1 (;@5;)
            else
              i32.const 1
              local.set $dispatch
              br 1 (;@5;)
            end
            unreachable
          end
          loop ;; @5
            block ;; @6
              block ;; @7
                block ;; @8
                  local.get $dispatch
                  br_table 0 (;@8;) 1 (;@7;)
                end
                local.get $fuel
                i32.const 2
                i32.sub
                local.set $fuel
                local.get $slot11
                i64.const 5
                i64.add
                local.set $slot11
                local.get $slot11
                local.get $slot13
                i64.ne
                if ;; @8
                  i32.const 1
                  local.set $dispatch
                  local.get $fuel
                  i32.const 0
                  i32.lt_s
                  if ;; @9
                    i32.const 65540
                    br 6 (;@3;)
                  end
                  br 3 (;@5;)
                else
                  br 2 (;@6;)
                end
                unreachable
              end
              local.get $fuel
              i32.const 2
              i32.sub
              local.set $fuel
              local.get $slot11
              i64.const 3
              i64.add
              local.set $slot11
              local.get $slot11
              local.get $slot12
              i64.eq
              if ;; @7
                br 1 (;@6;)
              else
                i32.const 0
                local.set $dispatch
                local.get $fuel
                i32.const 0
                i32.lt_s
                if ;; @8
                  i32.const 65548
                  br 5 (;@3;)
                end
                br 2 (;@5;)
              end
              unreachable
            end
            local.get $fuel
            i32.const 1
            i32.sub
            local.set $fuel
            local.get $slot1
            i64.const -2
            i64.and
            local.tee $address
            i32.wrap_i64
            local.set $pc
            local.get $address
            i64.const 31
            i64.shr_u
            i64.const 0
            i64.ne
            if ;; @6
              i32.const 0
              local.get $address
              i64.store offset=65384
              i32.const -1
              br 3 (;@3;)
            end
            local.get $pc
            local.get $depth
            br_if 2 (;@3;)
            br 1 (;@4;)
          end
          unreachable
        end
        local.set $pc
        i32.const 0
        local.get $slot11
        i64.store offset=88
        local.get $fuel
        i32.const 0
        i32.lt_s
        br_if 2 (;@1;)
        local.get $pc
        i32.const 1
        i32.shr_u
        i32.const 4095
        i32.and
        i32.const 3
        i32.shl
        local.set $index
        local.get $index
        i32.load offset=1245184
        local.get $pc
        i32.ne
        if ;; @4
          local.get $pc
          local.set $pc
          br 3 (;@1;)
        end
        local.get $index
        i32.load offset=1245188
        local.set $index
        local.get $pc
        local.get $depth
        local.get $fuel
        local.get $index
        return_call_indirect (type 1)
      end
      local.set $pc
      i32.const 0
      local.get $slot11
      i64.store offset=88
      br 1 (;@1;)
    end
    local.set $pc
    br 0 (;@1;)
  end
  local.get $pc
  local.get $fuel)
